package gateway_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
	"github.com/osmoslice/osmoslice/test/devices"
)

// More commands than the broker keeps for a device: they follow one another as
// the device takes them, in order, and none is dropped on the way.
func TestManyCommandsToOneDevice(t *testing.T) {
	const many = 300
	g := start(t, nil)
	d := g.device("lamp", "MQTT", devices.JSON)
	for i := range many {
		id := fmt.Sprintf("c-%03d", i)
		g.must(202, "POST", "/commands", gateway.Command{ID: id, Device: "lamp", Resource: "level", Value: fmt.Append(nil, i), TTL: gateway.Duration(time.Hour)}, nil)
	}
	got := make(chan string, 100*many)
	go func() { _ = d.Commands(t.Context(), func(c devices.Command) { got <- c.Value }) }()
	deadline := time.After(time.Minute)
	for next := 0; next < many; {
		select {
		case value := <-got:
			if value == fmt.Sprint(next) {
				next++
				continue
			}
			var earlier int
			if _, err := fmt.Sscan(value, &earlier); err != nil || earlier > next {
				t.Fatalf("command %s came before %d (dropped on the way: %d)", value, next, g.DroppedCommands())
			}
		case <-deadline:
			t.Fatalf("%d of %d commands came", next, many)
		}
	}
	eventually(t, "all are delivered", func() bool {
		var c gateway.Command
		g.must(200, "GET", fmt.Sprintf("/commands/c-%03d", many-1), nil, &c)
		return c.State == "DELIVERED"
	})
	if n := g.DroppedCommands(); n != 0 {
		t.Errorf("%d commands were dropped on the way and sent again", n)
	}
}
