"""DICOM files: the picture in one as its own window shows it, and the few facts about it that are kept.

All but `kept` is loaded by the child of diagnosis.decoding alone.

file      the bytes of a file → what is kept of it
kept      the facts that are kept
facts     how they are read, and which files are refused for what they say
pixels    stored values → grey levels
"""
