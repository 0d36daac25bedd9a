package event

import (
	"context"
	"log/slog"
	"time"
)

// Outbox is where committed events wait for their position.
type Outbox interface {
	// Sequence gives positions to all that wait and answers how many got one.
	// Replicas that call it at once take turns.
	Sequence(ctx context.Context) (int, error)
	// WaitEvents returns soon after events may wait, at the latest after max.
	WaitEvents(ctx context.Context, max time.Duration)
}

// Sequence runs the sequencer until ctx ends. Every replica runs one: whichever
// is first at the counter sequences for all, so that none has to be elected and
// none is missed when it dies.
func Sequence(ctx context.Context, box Outbox, log *slog.Logger) {
	const poll = 500 * time.Millisecond
	for ctx.Err() == nil {
		n, err := box.Sequence(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			log.Warn("events cannot be sequenced", "error", err)
			sleep(ctx, poll)
		case n == 0:
			box.WaitEvents(ctx, poll)
		}
	}
}
