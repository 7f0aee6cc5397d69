"""The domain: scans, the predictions on them, and what people do with both."""
