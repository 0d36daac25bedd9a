package gateway

// counter identifies one persistent counter. The numbers are on disk: new
// counters go to the end, old ones stay.
type counter int

// The persistent counters.
const (
	receivedMQTT counter = iota
	receivedHTTP
	receivedCoAP
	passed
	filteredRange
	filteredDeadband
	aggregated
	emitted
	droppedType
	droppedUnknown
	droppedTime
	droppedOverflow
	droppedQueueFull
	droppedByServer
	droppedDamaged
	droppedRemoved
	refusedMalformed
	refusedTooLarge
	refusedMediaType
	refusedUnavailable
	counters // how many there are
)

// counterNames are the groups and keys of the counters in /stats and /metrics.
var counterNames = [counters][2]string{
	receivedMQTT:       {"received", "mqtt"},
	receivedHTTP:       {"received", "http"},
	receivedCoAP:       {"received", "coap"},
	passed:             {"passed", ""},
	filteredRange:      {"filtered", "range"},
	filteredDeadband:   {"filtered", "deadband"},
	aggregated:         {"aggregated", ""},
	emitted:            {"emitted", ""},
	droppedType:        {"dropped", "type"},
	droppedUnknown:     {"dropped", "unknown-resource"},
	droppedTime:        {"dropped", "time"},
	droppedOverflow:    {"dropped", "overflow"},
	droppedQueueFull:   {"dropped", "queue-full"},
	droppedByServer:    {"dropped", "refused-by-server"},
	droppedDamaged:     {"dropped", "damaged-on-disk"},
	droppedRemoved:     {"dropped", "device-removed"},
	refusedMalformed:   {"refused", "malformed"},
	refusedTooLarge:    {"refused", "too-large"},
	refusedMediaType:   {"refused", "media-type"},
	refusedUnavailable: {"refused", "unavailable"},
}

// lostAfterQueue are the drops of records that were already in the queue; the
// other drops are of readings on their way to it.
var lostAfterQueue = []counter{droppedQueueFull, droppedByServer, droppedDamaged}

// tally is a change of the counters.
type tally [counters]uint64

func (t *tally) add(other *tally) {
	for i, n := range other {
		t[i] += n
	}
}

// receivedBy is the counter of readings received over a protocol.
func receivedBy(protocol string) counter {
	switch protocol {
	case protocolHTTP:
		return receivedHTTP
	case protocolCoAP:
		return receivedCoAP
	default:
		return receivedMQTT
	}
}
