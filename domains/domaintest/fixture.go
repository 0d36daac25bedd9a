package domaintest

import (
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
)

// Fixture is a driver with a site that works and wishes it can fulfil.
type Fixture interface {
	// Driver is the driver under test.
	Driver() domain.Driver
	// Deployment is a wish which becomes Ready at the site: complete, with a
	// Release made of name ([a-z0-9-], at most 20 characters), Hash set,
	// Generation 1 and at least one port that has an endpoint when Ready. The
	// same name makes the same wish.
	Deployment(name string) domain.Deployment
	// Change is another wish for d's Ref, with another Hash, which becomes
	// Ready as well.
	Change(d domain.Deployment) domain.Deployment
}

// Breaker knows wishes that are accepted but cannot become Ready.
type Breaker interface {
	// Break makes of d a wish (another Hash) that never becomes Ready, so that
	// Observe must tell a Cause that contains the given word.
	Break(d domain.Deployment) (broken domain.Deployment, word string)
}

// Refused knows wishes that can never be fulfilled at the site, such as a
// missing artefact: Apply must refuse them with fault.Never.
type Refused interface {
	Impossible(d domain.Deployment) domain.Deployment
}

// Disturber can make a running function end by itself, as a crash would. The
// site is expected to bring it back.
type Disturber interface {
	Disturb(t testing.TB, ref domain.Ref)
}

// Reopener can let the service die and come back: the answer is a new driver
// on the same site, while the old one was abandoned without a goodbye.
type Reopener interface {
	Reopen(t testing.TB) domain.Driver
}

// Witness names the running incarnation of a function, so that a needless
// restart shows.
type Witness interface {
	Incarnation(t testing.TB, ref domain.Ref) string
}

// Cutter can make the site unreachable until restore is called.
type Cutter interface {
	Cut(t testing.TB) (restore func())
}

// Auditor lists what is left at the site: processes, files, sockets. It is
// asked when everything was deleted; what a site keeps by contract (the fence)
// is not counted.
type Auditor interface {
	Leftovers(t testing.TB) []string
}

// Patient sets how long the suite waits for a condition; 10 s otherwise.
type Patient interface {
	Patience() time.Duration
}
