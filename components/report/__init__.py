"""What people read of an evaluation: the page, its figures, tables and wording."""
