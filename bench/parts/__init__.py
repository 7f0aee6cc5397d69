"""What is measured. A part is a module with `measure(report)`, run in a process of its own, and a line here."""

PARTS = {
    "engines": "The network alone, on the same weights and pictures",
    "first_answer": "From a clone to the first answer",
    "cold_start": "Cold start and memory of the processes",
    "uploads": "From an upload to its answer, over HTTP",
    "beside_a_batch": "From an upload to its answer while a batch runs",
    "reprocessing": "Answering old scans again",
    "pages": "Pages, by the number of predictions in PostgreSQL",
    "dashboard": "The staff's dashboard, by the number of predictions in PostgreSQL",
    "intake": "Taking in a picture",
    "dicom": "Taking in a DICOM file of 10 MB",
}
