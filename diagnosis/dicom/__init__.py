"""DICOM files: the picture in one as its own window shows it, and the few facts about it that are kept.

reader    in the web process: hands the bytes of a file to a child and takes picture and facts, or a refusal
child     the process that is handed them; it can't write a file, and its memory and time are limited
kept      the facts that are kept
facts     how they are read, and which files are refused for what they say
pixels    stored values → grey levels
"""
