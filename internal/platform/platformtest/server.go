package platformtest

import (
	"reflect"
	"sync"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// ServerFixture is a fresh, running server product.
type ServerFixture struct {
	Server platform.Server
	Access platform.Access
	// Deliver connects as u and publishes one reading at QoS 1; an error
	// means that it was not taken.
	Deliver func(t *testing.T, u platform.Uplink) error
	// Stored answers how many readings were stored for u's channel.
	Stored func(t *testing.T, u platform.Uplink) int
	// Hold connects as u and answers a channel that is closed when the server
	// cuts the connection.
	Hold func(t *testing.T, u platform.Uplink) <-chan struct{}
}

// ExerciseServer runs the contract of platform.Server.
func ExerciseServer(t *testing.T, start func(t *testing.T) ServerFixture) {
	t.Run("Health", func(t *testing.T) { serverHealth(t, start(t)) })
	t.Run("ConnectDelivers", func(t *testing.T) { serverConnectDelivers(t, start(t)) })
	t.Run("ConnectIsIdempotent", func(t *testing.T) { serverConnectIdempotent(t, start(t)) })
	t.Run("ConnectConcurrently", func(t *testing.T) { serverConnectConcurrently(t, start(t)) })
	t.Run("GatewaysAreApart", func(t *testing.T) { serverGatewaysApart(t, start(t)) })
	t.Run("DisconnectRevokes", func(t *testing.T) { serverDisconnectRevokes(t, start(t)) })
	t.Run("ReadBack", func(t *testing.T) { serverReadBack(t, start(t)) })
	t.Run("WrongToken", func(t *testing.T) { serverWrongToken(t, start(t)) })
	t.Run("Unreachable", func(t *testing.T) { serverUnreachable(t, start(t)) })
}

func serverHealth(t *testing.T, f ServerFixture) { must(t, f.Server.Health(bounded(t), f.Access)) }

func serverConnectDelivers(t *testing.T, f ServerFixture) {
	need(t, f.Deliver != nil && f.Stored != nil, "means to deliver")
	u, err := f.Server.Connect(bounded(t), f.Access, "gw-1")
	must(t, err)
	must(t, f.Deliver(t, u))
	eventually(t, "the reading is stored", func() bool { return f.Stored(t, u) == 1 })
}

func serverConnectIdempotent(t *testing.T, f ServerFixture) {
	ctx := bounded(t)
	first, err := f.Server.Connect(ctx, f.Access, "gw-1")
	must(t, err)
	// Names that contain the name must not be mistaken for it.
	for _, other := range []string{"gw-10", "gw-1x", "a-gw-1"} {
		_, err := f.Server.Connect(ctx, f.Access, other)
		must(t, err)
	}
	again, err := f.Server.Connect(ctx, f.Access, "gw-1")
	must(t, err)
	if !reflect.DeepEqual(first, again) {
		t.Error("a second Connect answered another uplink")
	}
}

func serverConnectConcurrently(t *testing.T, f ServerFixture) {
	ctx := bounded(t)
	const callers = 8
	var uplinks [callers]platform.Uplink
	var errs [callers]error
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { uplinks[i], errs[i] = f.Server.Connect(ctx, f.Access, "gw-1") })
	}
	wg.Wait()
	for i := range callers {
		must(t, errs[i])
		if !reflect.DeepEqual(uplinks[i], uplinks[0]) {
			t.Errorf("caller %d got another uplink", i)
		}
	}
}

func serverGatewaysApart(t *testing.T, f ServerFixture) {
	ctx := bounded(t)
	one, err := f.Server.Connect(ctx, f.Access, "gw-1")
	must(t, err)
	two, err := f.Server.Connect(ctx, f.Access, "gw-2")
	must(t, err)
	if one.Username == two.Username || one.Password == two.Password || one.Topic == two.Topic && one.Address == two.Address {
		t.Fatal("two gateways share credentials or a channel")
	}
	need(t, f.Deliver != nil && f.Stored != nil, "means to deliver")
	mixed := one
	mixed.Topic, mixed.Address = two.Topic, two.Address
	if err := f.Deliver(t, mixed); err == nil {
		t.Error("one gateway published to the other's channel")
	}
	if n := f.Stored(t, two); n != 0 {
		t.Errorf("%d readings of the other gateway were stored", n)
	}
}

func serverDisconnectRevokes(t *testing.T, f ServerFixture) {
	ctx := bounded(t)
	u, err := f.Server.Connect(ctx, f.Access, "gw-1")
	must(t, err)
	var cut <-chan struct{}
	if f.Hold != nil {
		cut = f.Hold(t, u)
	}
	must(t, f.Server.Disconnect(ctx, f.Access, "gw-1"))
	must(t, f.Server.Disconnect(ctx, f.Access, "gw-1"))
	must(t, f.Server.Disconnect(ctx, f.Access, "never-there"))
	if f.Hold != nil {
		select {
		case <-cut:
		case <-ctx.Done():
			t.Error("the session outlived its key")
		}
	}
	if f.Deliver != nil {
		if err := f.Deliver(t, u); err == nil {
			t.Error("a revoked key still delivers")
		}
	}
	again, err := f.Server.Connect(ctx, f.Access, "gw-1")
	must(t, err)
	if again.Password == u.Password {
		t.Error("the revoked key came back")
	}
	if f.Deliver != nil {
		must(t, f.Deliver(t, again))
	}
}

// serverReadBack reads what Deliver sent: a fixture of a platform.Reader
// delivers sensor-1:temperature in Cel, 21.5.
func serverReadBack(t *testing.T, f ServerFixture) {
	reader, ok := f.Server.(platform.Reader)
	if !ok {
		t.Log("the product does not tell what it stored")
		return
	}
	need(t, f.Deliver != nil, "means to deliver")
	ctx := bounded(t)
	u, err := f.Server.Connect(ctx, f.Access, "gw-1")
	must(t, err)
	must(t, f.Deliver(t, u))
	eventually(t, "the reading can be read", func() bool {
		got, err := reader.Read(ctx, f.Access, "gw-1", "sensor-1:temperature", 10)
		must(t, err)
		return len(got) == 1 && got[0].Value == 21.5 && got[0].Unit == "Cel" && got[0].Time > 0
	})
	got, err := reader.Read(ctx, f.Access, "gw-1", "sensor-1:humidity", 10)
	must(t, err)
	if len(got) != 0 {
		t.Errorf("readings of another name: %+v", got)
	}
	_, err = reader.Read(ctx, f.Access, "never-there", "sensor-1:temperature", 10)
	wantFault(t, err, fault.Never, fault.NotFound)
}

func serverWrongToken(t *testing.T, f ServerFixture) {
	a := f.Access
	a.Token = "wrong-" + a.Token
	_, err := f.Server.Connect(bounded(t), a, "gw-1")
	wantFault(t, err, fault.Never, fault.Unauthenticated, fault.Forbidden)
	wantSilent(t, err, a.Token, f.Access.Token)
}

func serverUnreachable(t *testing.T, f ServerFixture) {
	a := elsewhere(t, f.Access)
	wantFault(t, f.Server.Health(bounded(t), a), fault.Backoff, fault.Unavailable, fault.Timeout)
	_, err := f.Server.Connect(bounded(t), a, "gw-1")
	wantFault(t, err, fault.Backoff, fault.Unavailable, fault.Timeout)
	wantSilent(t, err, a.Token)
	wantFault(t, f.Server.Disconnect(bounded(t), a, "gw-1"), fault.Backoff, fault.Unavailable, fault.Timeout)
}
