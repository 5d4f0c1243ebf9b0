"""TeacherPredictions: the teacher's logits for every training example, stored once."""
