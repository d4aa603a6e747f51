"""The models: one file per family, each a document that opens with its measured claim."""
