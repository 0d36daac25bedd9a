package server

import (
	"context"
	"sync"
	"time"
)

const (
	// resendWindow bounds the commands sent again and not acknowledged: far
	// below what the broker keeps for a subscriber.
	resendWindow = 32
	// resendPatience is how long a gateway may take to acknowledge one.
	resendPatience = 10 * time.Second
	resendPage     = 500
)

// resends sends waiting commands again when a gateway subscribed, one run per
// channel at a time, at the pace at which the gateways acknowledge.
type resends struct {
	ctx  context.Context
	stop context.CancelFunc
	runs sync.WaitGroup

	mu      sync.Mutex
	running map[string]bool          // by channel; true: once more
	awaited map[string]chan struct{} // by token, closed with the first acknowledgement
}

func newResends() *resends {
	r := &resends{running: map[string]bool{}, awaited: map[string]chan struct{}{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// close ends the runs and waits for them.
func (r *resends) close() {
	r.stop()
	r.runs.Wait()
}

// start lets run be called for channel, once more when it is running.
func (r *resends) start(channel string, run func(ctx context.Context)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.running[channel]; ok {
		r.running[channel] = true
		return
	}
	if r.ctx.Err() != nil {
		return
	}
	r.running[channel] = false
	r.runs.Go(func() {
		for {
			run(r.ctx)
			if !r.again(channel) {
				return
			}
		}
	})
}

func (r *resends) again(channel string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	again := r.running[channel] && r.ctx.Err() == nil
	if r.running[channel] = false; !again {
		delete(r.running, channel)
	}
	return again
}

// expect answers a channel that is closed when a gateway acknowledges token.
func (r *resends) expect(token string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := make(chan struct{})
	r.awaited[token] = taken
	return taken
}

// settle ends the wait for token; unknown ones do no harm.
func (r *resends) settle(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if taken, ok := r.awaited[token]; ok {
		close(taken)
		delete(r.awaited, token)
	}
}

// waiting is a command that no gateway told anything about.
type waiting struct {
	id      string
	updated int64
	payload []byte
}

// resend publishes the commands that wait in a channel, in the order they came.
// It ends early when nobody acknowledges: whoever subscribes next starts anew.
func (s *Server) resend(ctx context.Context, channelID string) error {
	var inFlight []waiting
	var taken []<-chan struct{}
	token := func(w waiting) string { return channelID + "/" + w.id }
	defer func() {
		for _, w := range inFlight {
			s.resends.settle(token(w))
		}
	}()
	for after := (waiting{}); ; {
		page, err := s.waitingAfter(ctx, channelID, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, w := range page {
			if len(inFlight) >= resendWindow {
				select {
				case <-taken[0]:
				case <-time.After(resendPatience):
					return nil
				case <-ctx.Done():
					return nil
				}
				inFlight, taken = inFlight[1:], taken[1:]
			}
			inFlight, taken = append(inFlight, w), append(taken, s.resends.expect(token(w)))
			if err := s.broker.Publish(commandTopic(channelID), w.payload, 1, token(w)); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}

// waitingAfter is the next page of the commands that wait in a channel.
func (s *Server) waitingAfter(ctx context.Context, channelID string, after waiting) ([]waiting, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT id, updated, payload FROM commands
		WHERE channel = ? AND state = 'PENDING' AND expires > ? AND payload IS NOT NULL AND (updated, id) > (?, ?)
		ORDER BY updated, id LIMIT ?`, channelID, s.options.Now().UnixMicro(), after.updated, after.id, resendPage)
	if err != nil {
		return nil, storeFault(err)
	}
	defer rows.Close()
	var page []waiting
	for rows.Next() {
		var w waiting
		if err := rows.Scan(&w.id, &w.updated, &w.payload); err != nil {
			return nil, storeFault(err)
		}
		page = append(page, w)
	}
	return page, rows.Err()
}
