package operation

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// FailpointVariable is the environment variable that sets failpoints. They are
// compiled in and off unless it is set; it exists for tests.
const FailpointVariable = "OSMOSLICE_FAILPOINT"

// Failpoints are places where the process dies on purpose. The points are
//
//	after-claim             an operation was claimed
//	after-intent:ACTION     a step's intent is saved, nothing was done yet
//	after-effect:ACTION     the step was carried out, its outcome is not saved
//	after-outcome:ACTION    the outcome is saved
//	after-final             the operation ended
//
// ACTION is the step's action, prefixed by "undo-" in compensation, or "*".
type Failpoints struct {
	mu     sync.Mutex
	points []failpoint
	kill   func()
}

type failpoint struct {
	name string
	left int
}

// ParseFailpoints reads "POINT[:N]=kill[,…]": die the N-th time (default the
// first) that POINT is passed. Empty text answers nil, which never fails.
func ParseFailpoints(text string) (*Failpoints, error) {
	if text == "" {
		return nil, nil
	}
	f := &Failpoints{kill: killSelf}
	for _, part := range strings.Split(text, ",") {
		point, action, ok := strings.Cut(part, "=")
		if !ok || action != "kill" || point == "" {
			return nil, fault.Field(FailpointVariable, part, "POINT[:N]=kill, for example after-intent:apply:2=kill")
		}
		n := 1
		if k := strings.LastIndexByte(point, ':'); k >= 0 {
			if v, err := strconv.Atoi(point[k+1:]); err == nil {
				if v < 1 {
					return nil, fault.Field(FailpointVariable, part, "a count from 1")
				}
				point, n = point[:k], v
			}
		}
		f.points = append(f.points, failpoint{point, n})
	}
	return f, nil
}

// pass counts a passage of a point, and ends the process when it is the one.
func (f *Failpoints) pass(point, action string) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.points {
		p := &f.points[k]
		if p.name != point && p.name != point+":"+action && (action == "" || p.name != point+":*") {
			continue
		}
		if p.left--; p.left == 0 {
			f.kill()
		}
	}
}

// killSelf ends the process as kill -9 does: no deferred call, no flush.
func killSelf() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {}
}
