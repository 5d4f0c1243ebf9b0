"""TeacherPredictions: what the teacher says of every training example, stored once."""
