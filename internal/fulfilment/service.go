package fulfilment

import (
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment/catalogue"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// New makes the use cases. The Service is also the operation.Executor.
func New(c Config) (*Service, error) {
	if c.Store == nil {
		return nil, fault.New(fault.Internal, "fulfilment needs a store")
	}
	if err := c.Placement.Validate(); err != nil {
		return nil, err
	}
	if c.Built == nil {
		c.Built = catalogue.Products()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.NewID == nil {
		c.NewID = slice.NewID
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = 10_000
	}
	if c.Marker == nil {
		c.Marker = func(_ slice.Kind, id string) string { return id }
	}
	c.Limits = c.Limits.Or(operation.DefaultLimits())
	return &Service{c: c, place: newPlacer(c.Placement)}, nil
}

// Service is the use cases, and the Executor of their operations. It is safe
// for concurrent use.
type Service struct {
	c       Config
	place   *placer
	keys    keyCache
	backlog backlog
	poke    func(element string)
	memory  memory
	surveys surveys
	missed  sync.Map // element id to slice id: seen to differ while an operation was open
	watched sync.Map // ids of infrastructures whose changes are told
	refused sync.Map // operation id to the decision that placed not everything
}

var (
	_ operation.Executor  = (*Service)(nil)
	_ operation.Forgetter = (*Service)(nil)
	_ operation.Follower  = (*Service)(nil)
	_ operation.Preparer  = (*Service)(nil)
)

func (s *Service) now() time.Time { return s.c.Clock().UTC() }

// backlog remembers how many operations are open, for a moment.
type backlog struct {
	open atomic.Int64
	asOf atomic.Int64 // Unix nanoseconds
}

func clone[T any](v *T) *T {
	b, err := json.Marshal(v)
	if err != nil {
		return v
	}
	c := new(T)
	if json.Unmarshal(b, c) != nil {
		return v
	}
	return c
}
