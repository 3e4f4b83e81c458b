"""Sound: reading, spectra, and utterances with their transcripts as features of a dataset."""
