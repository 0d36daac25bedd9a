package queue

// BreakFile makes the next write fail, as a full or broken disk would.
func (q *Queue) BreakFile() { _ = q.file.Close() }
