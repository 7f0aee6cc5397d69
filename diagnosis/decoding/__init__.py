"""From the bytes of a stranger to grey levels, or a refusal that says what is wrong.

pictures  JPEG, PNG, WebP, TIFF and BMP
child     a process that decodes DICOM and TIFF; it can't write a file, and its memory and time are limited
reader    in the web process: hands the bytes of such a file to a child and takes what it answers, or a refusal

The other formats are decoded in the web process: what they cost follows from their pixels, once their headers have been
looked through, and a process for each would cost more than that.
"""
