package fulfilment

import (
	"context"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// previewTimeout bounds what a dry run waits for sites.
const previewTimeout = 15 * time.Second

// siteQuestion is what a dry run asks a site: how a running function would change.
type siteQuestion struct {
	about    SiteDifference
	driver   domain.Previewer
	wish     domain.Deployment
	unanswer error
}

// questions collects them inside the dry run's transaction, where the change can
// be seen; the sites are asked after it.
func (u *unit) questions(ctx context.Context, p *Preview) []siteQuestion {
	if u.started == nil {
		return nil
	}
	var out []siteQuestion
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Action != actApply || step.Undo != actRestore {
			continue // only what runs can differ
		}
		q := siteQuestion{about: SiteDifference{Element: step.Target, Name: step.TargetName, Infrastructure: step.Infrastructure}}
		a, err := decodeArgs[deployArgs](step.Args)
		if err == nil {
			var driver domain.Driver
			q.wish, driver, err = u.s.deployment(ctx, u.Tx, operation.Call{Operation: *u.started, Step: *step, Generation: 1}, a)
			var able bool
			if q.driver, able = driver.(domain.Previewer); err == nil && !able {
				continue
			}
		}
		q.unanswer = err
		out = append(out, q)
	}
	return out
}

// askSites asks side by side; a site that does not answer is told as such.
func askSites(ctx context.Context, questions []siteQuestion) []SiteDifference {
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	answers := make([][]SiteDifference, len(questions))
	var asked sync.WaitGroup
	for i := range questions {
		asked.Go(func() { answers[i] = questions[i].ask(ctx) })
	}
	asked.Wait()
	var out []SiteDifference
	for _, a := range answers {
		out = append(out, a...)
	}
	return out
}

func (q *siteQuestion) ask(ctx context.Context) []SiteDifference {
	err := q.unanswer
	var ds []domain.Difference
	if err == nil {
		ds, err = q.driver.Preview(ctx, q.wish)
	}
	if err != nil {
		d := q.about
		d.Unknown = fault.Of(err).Error()
		return []SiteDifference{d}
	}
	var out []SiteDifference
	for _, x := range ds {
		d := q.about
		d.Difference = x
		out = append(out, d)
	}
	return out
}
