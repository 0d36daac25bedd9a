package fulfilment

import (
	"context"
	"encoding/json"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// serverFor is the server that an element feeds.
func (s *Service) serverFor(ctx context.Context, tx operation.Tx, e *slice.Element) (*slice.Element, error) {
	q := operation.Query{Kind: slice.KindIoTServer, Parent: e.Slice, Limit: 2}
	if e.Server != "" {
		q.Filter = []operation.Condition{{Op: "eq", Attr: "name", Values: []string{e.Server}}}
	}
	rs, err := tx.List(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(rs) != 1 {
		return nil, fault.New(fault.Invalid, "%q does not say which of %d servers it feeds", e.Name, len(rs)).With("iotServer", e.Server, "the name of a server of the slice")
	}
	server, _ := rs[0].(*slice.Element)
	return server, nil
}

// access is how to ask a running element, and who can.
func (s *Service) access(ctx context.Context, tx operation.Tx, e *slice.Element, run *slice.Deployment) (platform.Access, Platform, error) {
	var a platform.Access
	if run == nil {
		return a, Platform{}, fault.New(fault.Conflict, "%s %q is not installed", e.Element, e.Name)
	}
	if len(run.Endpoints) == 0 {
		return a, Platform{}, fault.New(fault.Unavailable, "%s %q has told no endpoints yet", e.Element, e.Name).Retrying(fault.Backoff)
	}
	v, err := s.infrastructure(ctx, tx, run.Infrastructure)
	if err != nil {
		return a, Platform{}, err
	}
	pr, err := s.product(ctx, tx, e.Tenant, firstOf(run.Product, e.Product), run.Version)
	if err != nil {
		return a, Platform{}, err
	}
	a.Endpoints = run.Endpoints
	if e.CredentialsRef != "" {
		token, err := s.resolve(ctx, tx, e.CredentialsRef, e.Tenant)
		if err != nil {
			return a, Platform{}, err
		}
		a.Token = string(token)
	}
	return a, s.able(pr, v.Plugin), nil
}

// clientName is the name an element has at its server.
func clientName(e *slice.Element) string {
	if e.Element == slice.MicroElement {
		return "micro-" + e.Name
	}
	return e.Name
}

func uplinkName(e *slice.Element) string { return "uplink-" + e.ID }

// uplink reads an element's connection, kept as a secret.
func (s *Service) uplink(ctx context.Context, tx operation.Tx, e *slice.Element) (platform.Uplink, error) {
	var u platform.Uplink
	b, err := s.resolve(ctx, tx, uplinkName(e), e.Tenant)
	if err != nil {
		return u, err
	}
	if err := json.Unmarshal(b, &u); err != nil {
		return u, fault.New(fault.Internal, "the uplink of %q cannot be read", e.Name)
	}
	return u, nil
}

// keepUplink stores it.
func (s *Service) keepUplink(ctx context.Context, tx operation.Tx, e *slice.Element, u platform.Uplink) error {
	b, err := json.Marshal(u)
	if err != nil || s.c.Secrets == nil {
		return fault.New(fault.Unavailable, "this service keeps no secrets")
	}
	old, err := s.c.Secrets.Resolve(ctx, tx, e.Tenant, uplinkName(e))
	if err == nil && string(old) == string(b) {
		return nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	kept := slice.Secret{Owner: e.ID}
	kept.Tenant, kept.Name = e.Tenant, uplinkName(e)
	_, err = s.c.Secrets.Put(ctx, tx, kept, b)
	return err
}

// ends is what a call between an element and its server needs.
type ends struct {
	e, server         *slice.Element
	at, serverAt      platform.Access
	former            platform.Access // of the element's instance before
	able, serverAble  Platform
	formerAble        Platform
	uplink            platform.Uplink
	hasUplink, hasOld bool
	sources           []string // client names of whom a microElement reads
}

func (s *Service) ends(ctx context.Context, action string, a linkArgs) (x ends, err error) {
	err = s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		if x.e, err = s.element(ctx, tx, a.Element); err != nil {
			return err
		}
		if action != actMove {
			if x.server, err = s.element(ctx, tx, a.Server); err != nil {
				return err
			}
			if x.serverAt, x.serverAble, err = s.access(ctx, tx, x.server, x.server.Run); err != nil {
				return err
			}
		}
		if x.server != nil && x.e.Element == slice.MicroElement {
			if x.sources, err = s.sources(ctx, tx, x.e, x.server); err != nil {
				return err
			}
		}
		if action == actAttach || action == actMove || action == actProve {
			if x.at, x.able, err = s.access(ctx, tx, x.e, x.e.Run); err != nil {
				return err
			}
		}
		if action == actAttach {
			x.uplink, err = s.uplink(ctx, tx, x.e)
			x.hasUplink = err == nil
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		if action == actMove && x.e.Previous != nil && x.e.Previous.Release != x.e.Run.Release {
			if x.former, x.formerAble, err = s.access(ctx, tx, x.e, x.e.Previous); err != nil {
				return err
			}
			x.hasOld = true
		}
		return nil
	})
	return x, err
}

// doLink connects, attaches, disconnects or moves.
func (s *Service) doLink(ctx context.Context, c operation.Call, action string, a linkArgs) (operation.Outcome, error) {
	x, err := s.ends(ctx, action, a)
	if err != nil {
		if action == actDisconnect && (fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict)) {
			return operation.Outcome{Done: true}, nil // no server, no connection
		}
		return operation.Outcome{}, err
	}
	switch action {
	case actConnect:
		_, out, err := s.connect(ctx, x)
		return out, err
	case actDisconnect:
		return operation.Outcome{Done: true}, x.serverAble.Server.Disconnect(ctx, x.serverAt, clientName(x.e))
	case actMove:
		return s.doMove(ctx, x)
	case actProve:
		return s.doProve(ctx, c, x)
	}
	out := operation.Outcome{Done: true}
	if c.Undo || !x.hasUplink {
		if x.uplink, out, err = s.connect(ctx, x); err != nil {
			return out, err
		}
	}
	return out, x.able.Gateway.Attach(ctx, x.at, x.uplink)
}

// sources are the elements whose readings flow to a microElement: those that
// the slice's microData name, else every gateway of its server.
func (s *Service) sources(ctx context.Context, tx operation.Tx, e, server *slice.Element) (named []string, err error) {
	flows, err := listAll(ctx, tx, operation.Query{Kind: slice.KindMicroData, Parent: e.Slice}, s.c.Marker)
	if err != nil {
		return nil, err
	}
	from := map[string]bool{}
	for _, r := range flows {
		if m, ok := r.(*slice.MicroData); ok && m.To == e.Name {
			from[m.From] = true
		}
	}
	gateways, err := listAll(ctx, tx, operation.Query{Kind: slice.KindIoTGateway, Parent: e.Slice}, s.c.Marker)
	if err != nil {
		return nil, err
	}
	for _, r := range gateways {
		g, ok := r.(*slice.Element)
		if ok && (from[g.Name] || len(from) == 0 && (g.Server == "" || g.Server == server.Name)) {
			named = append(named, clientName(g))
		}
	}
	return named, nil
}

// connect makes the server ready for the element and keeps what it answers as a
// secret.
func (s *Service) connect(ctx context.Context, x ends) (platform.Uplink, operation.Outcome, error) {
	u, err := x.serverAble.Server.Connect(ctx, x.serverAt, clientName(x.e))
	if err != nil {
		return u, operation.Outcome{}, err
	}
	if linker, ok := x.serverAble.Server.(platform.Linker); ok {
		for _, source := range x.sources {
			channel, err := linker.Link(ctx, x.serverAt, clientName(x.e), source)
			if err != nil {
				return u, operation.Outcome{}, err
			}
			u.Sources = append(u.Sources, channel)
		}
	}
	return u, operation.Outcome{Done: true, Record: func(ctx context.Context, tx operation.Tx) error {
		return s.keepUplink(ctx, tx, x.e, u)
	}}, nil
}

// doMove carries a gateway's state from its former instance, where that still
// answers.
func (s *Service) doMove(ctx context.Context, x ends) (operation.Outcome, error) {
	from, ok := x.formerAble.Gateway.(platform.Mover)
	to, also := x.able.Gateway.(platform.Mover)
	if !x.hasOld || !ok || !also {
		return operation.Outcome{Done: true}, nil
	}
	state, err := from.Export(ctx, x.former)
	if err != nil {
		return operation.Outcome{}, err
	}
	return operation.Outcome{Done: true}, to.Import(ctx, x.at, state)
}
