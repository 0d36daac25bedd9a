package server

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

const (
	maxSubtopic = 256      // bytes
	maxText     = 64 << 10 // bytes of one string or data value
)

// reasons label refused messages in the metrics.
const (
	reasonFormat = "format" // not SenML
	reasonSize   = "size"   // beyond a limit
	reasonTime   = "time"   // a clock that is years off
	reasonSeries = "series" // too many names
	reasonStore  = "store"  // the database failed: the sender tries again
)

// intake turns bytes into messages and hands them to the writer.
type intake struct {
	options *Options
	writer  *writer
	metrics *metrics
	memory  *budget
	now     func() time.Time
}

// take decodes payload as what m says and hands it to the writer. done is told
// once the message is on disk (nil) or is not going to be (a fault).
func (in *intake) take(m message, payload []byte, decode decoder, done func(error)) {
	in.metrics.received.WithLabelValues(m.protocol).Inc()
	weight := in.memory.acquire(len(payload))
	reason, err := in.decode(&m, payload, decode)
	r := request{message: &m, done: func(err error) {
		in.memory.release(weight)
		if err != nil {
			if reason == "" {
				reason = in.reasonOf(err)
			}
			in.metrics.refused.WithLabelValues(m.protocol, reason).Inc()
		}
		done(err)
	}}
	if err != nil {
		r.message, r.refused = nil, err
	}
	in.writer.submit(r)
}

// decoder reads a pack in one representation.
type decoder func(data []byte, limits senml.Limits) (senml.Pack, error)

// decode fills m.pack; a refusal comes with its reason.
func (in *intake) decode(m *message, payload []byte, decode decoder) (string, error) {
	if err := checkSubtopic(m.subtopic); err != nil {
		return reasonFormat, err
	}
	limits := senml.Limits{Bytes: in.options.MaxMessage, Records: in.options.MaxRecords, Text: maxText}
	pack, err := decode(payload, limits)
	if err != nil {
		return packFault(err)
	}
	now := in.now()
	if m.pack, err = senml.ResolveInOrder(pack, now); err != nil {
		return packFault(err)
	}
	if err := senml.CheckTime(m.pack, now, in.options.MaxPast, in.options.MaxFuture); err != nil {
		_, err = packFault(err)
		return reasonTime, err
	}
	if m.batch.count != 0 && m.batch.count != uint64(len(m.pack)) {
		return reasonFormat, fault.New(fault.Malformed, "the batch is not what its name says").
			With("sequence", strconv.FormatUint(m.batch.count, 10)+" records", strconv.Itoa(len(m.pack))+", the records of the pack")
	}
	return "", nil
}

func (in *intake) reasonOf(err error) string {
	if fault.Is(err, fault.Invalid) {
		return reasonSeries
	}
	return reasonStore
}

// packFault classifies a refusal of the codec.
func packFault(err error) (string, error) {
	var e *senml.Error
	if errors.As(err, &e) && e.TooBig {
		return reasonSize, fault.New(fault.TooLarge, "%s", e.Error())
	}
	return reasonFormat, fault.New(fault.Malformed, "%s", err.Error())
}

// checkSubtopic bounds the topic levels behind channels/<id>/messages/.
func checkSubtopic(s string) error {
	if len(s) > maxSubtopic || strings.ContainsAny(s, "#+*>\x00") || strings.Contains(s, "//") || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		return fault.New(fault.Malformed, "the subtopic is not valid").With("subtopic", s, "at most 256 bytes, levels separated by /, without # + * >")
	}
	return nil
}

// budget bounds the memory that messages on their way to the disk may take.
type budget struct {
	mu    sync.Mutex
	freed sync.Cond
	left  int
	total int
}

func newBudget(total int) *budget {
	b := &budget{left: total, total: total}
	b.freed.L = &b.mu
	return b
}

// acquire waits until there is room for a payload of n bytes decoded, and
// answers what is to be released.
func (b *budget) acquire(n int) int {
	// A decoded record takes some 150 bytes, and as text at least 20.
	weight := min(1024+8*n, b.total)
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.left < weight {
		b.freed.Wait()
	}
	b.left -= weight
	return weight
}

func (b *budget) release(weight int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += weight
	b.freed.Broadcast()
}
