package operation

import "time"

// Limits bound how long and how often an operation tries. They are stored with
// it, so that what it does can be replayed. A zero field is its default.
type Limits struct {
	// Attempts bounds the tries of a step, and of planning, in one direction
	// when its fault says Backoff; a fault that says Now has as many more.
	Attempts int `json:"attempts,omitempty"`
	// BackoffBase is the first pause; each next one doubles up to BackoffMax.
	BackoffBase time.Duration `json:"backoffBaseNanos,omitempty"`
	BackoffMax  time.Duration `json:"backoffMaxNanos,omitempty"`
	// StepTimeout ends one attempt of a step that names none itself.
	StepTimeout time.Duration `json:"stepTimeoutNanos,omitempty"`
	// Total ends STARTING and PROCESSING, Rollback ends ROLLING_BACK, Hold ends
	// FAILED_TEMP.
	Total    time.Duration `json:"totalNanos,omitempty"`
	Rollback time.Duration `json:"rollbackNanos,omitempty"`
	Hold     time.Duration `json:"holdNanos,omitempty"`
}

// DefaultLimits are the defaults.
func DefaultLimits() Limits {
	return Limits{
		Attempts: 8, BackoffBase: 500 * time.Millisecond, BackoffMax: 30 * time.Second,
		StepTimeout: 5 * time.Minute, Total: 30 * time.Minute, Rollback: 15 * time.Minute, Hold: 24 * time.Hour,
	}
}

// Or answers l with zero fields taken from d.
func (l Limits) Or(d Limits) Limits {
	or := func(a *time.Duration, b time.Duration) {
		if *a <= 0 {
			*a = b
		}
	}
	if l.Attempts <= 0 {
		l.Attempts = d.Attempts
	}
	or(&l.BackoffBase, d.BackoffBase)
	or(&l.BackoffMax, d.BackoffMax)
	or(&l.StepTimeout, d.StepTimeout)
	or(&l.Total, d.Total)
	or(&l.Rollback, d.Rollback)
	or(&l.Hold, d.Hold)
	return l
}

// backoff is the pause after the given number of failed attempts. It is spread
// over its last quarter by the key, the same on every machine, so that many
// operations waiting for one site do not return all at once.
func (l Limits) backoff(key string, attempt int) time.Duration {
	d := l.BackoffBase << min(max(attempt-1, 0), 20)
	if d <= 0 || d > l.BackoffMax {
		d = l.BackoffMax
	}
	h := uint32(2166136261) // FNV-1a
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return d - d/4*time.Duration(h%256)/255
}
