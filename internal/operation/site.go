package operation

// site is the queue before one infrastructure: a bounded number of calls run at
// a time, tenants take turns.
type site struct {
	limit   int
	running int
	turn    []string // tenants with calls waiting, the next one first
	waiting map[string][]*call
}

func newSite(limit int) *site {
	return &site{limit: limit, waiting: map[string][]*call{}}
}

func (s *site) push(c *call) {
	t := c.tenant
	if len(s.waiting[t]) == 0 {
		s.turn = append(s.turn, t)
	}
	s.waiting[t] = append(s.waiting[t], c)
}

// pop answers the next call that may run, or nil.
func (s *site) pop() *call {
	for s.running < s.limit && len(s.turn) > 0 {
		t := s.turn[0]
		queue := s.waiting[t]
		c := queue[0]
		queue[0] = nil
		s.turn = s.turn[1:]
		if queue = queue[1:]; len(queue) == 0 {
			delete(s.waiting, t)
		} else {
			s.waiting[t] = queue
			s.turn = append(s.turn, t)
		}
		if !c.stopped {
			s.running++
			return c
		}
		c.queued = false
	}
	return nil
}

// empty: nothing waits and nothing runs.
func (s *site) empty() bool { return s.running == 0 && len(s.turn) == 0 }
