package fulfilment

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// What images run on is asked before placing, outside of any transaction, and
// remembered: placing itself only looks at what is remembered.
const (
	surveyWithin  = 3 * time.Second  // all questions of one operation together
	surveyKept    = time.Minute      // an answer
	surveyMissing = 15 * time.Second // that there was none
	surveyMost    = 8192
)

// surveyKey names what was asked: the images of a packaging at a site as it is
// configured.
type surveyKey struct {
	site     string
	revision int64
	pack     [sha256.Size]byte
}

// survey is an answer. err is why there is none.
type survey struct {
	images []domain.Image
	err    error
	until  time.Time
}

// imageQuestion is a survey that a decision lacked.
type imageQuestion struct {
	key  surveyKey
	pack slice.Packaging
}

// surveys are what is remembered.
type surveys struct {
	mu     sync.Mutex
	known  map[surveyKey]survey
	asking map[surveyKey]chan struct{} // closed when the answer is there
}

// begin takes a question, or answers what to wait for: another asks it already.
func (m *surveys) begin(k surveyKey) (asked <-chan struct{}, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.asking[k]; c != nil {
		return c, false
	}
	if m.asking == nil {
		m.asking = map[surveyKey]chan struct{}{}
	}
	m.asking[k] = make(chan struct{})
	return nil, true
}

func (m *surveys) get(k surveyKey) (survey, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.known[k]
	return a, ok && time.Now().Before(a.until)
}

func (m *surveys) put(k surveyKey, a survey) {
	a.until = time.Now().Add(surveyKept)
	if a.err != nil {
		a.until = time.Now().Add(surveyMissing)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= surveyMost {
		m.known = map[surveyKey]survey{}
	}
	m.known[k] = a
	if c := m.asking[k]; c != nil {
		close(c)
		delete(m.asking, k)
	}
}

// teller is the driver of an infrastructure, if it can tell of images.
func (s *Service) teller(v *slice.Infrastructure) (domain.ImageTeller, bool) {
	t, ok := s.c.Plugins[v.Plugin].Driver.(domain.ImageTeller)
	return t, ok
}

// imageFacts answers what is known of an element's images at an infrastructure.
// ok is false where nobody can tell of images, or they are of no account.
func (s *Service) imageFacts(sit *Situation, e *slice.Element, v *slice.Infrastructure) (a survey, ok bool) {
	if _, able := s.teller(v); !able {
		return a, false
	}
	p := sit.packaged(e, v.Plugin)
	if p.stays && e.Run.Infrastructure == v.ID {
		return a, false // it runs
	}
	q := imageQuestion{key: surveyKey{v.ID, v.Revision, p.sum}, pack: p.pack}
	a, known := s.surveys.get(q.key)
	if !known {
		if p.stays {
			return a, false // nobody means to move it
		}
		sit.unasked = append(sit.unasked, q)
		a.err = fault.New(fault.Unavailable, "%q has not said what its images run on", v.Name)
	}
	return a, true
}

// packaged is an element's packaging for a plugin as it is known early, and
// whether the element runs and stays as it is.
type packaged struct {
	pack  slice.Packaging
	sum   [sha256.Size]byte
	stays bool
}

// packaged is worked out once for every infrastructure of a plugin.
func (s *Situation) packaged(e *slice.Element, plugin string) packaged {
	key := [2]string{e.ID, plugin}
	p, known := s.packs[key]
	if known {
		return p
	}
	p = packaged{pack: early(e, s.Products[e.ID].Packaging[plugin]), stays: e.Run != nil && s.mayStay(e) && s.hash(e) == e.Run.Hash}
	raw, err := json.Marshal(p.pack)
	if err != nil {
		raw = []byte(err.Error()) // nothing that is stored cannot be written
	}
	p.sum = sha256.Sum256(raw)
	if s.packs == nil {
		s.packs = map[[2]string]packaged{}
	}
	s.packs[key] = p
	return p
}

// early is a packaging with what is known of it before anything is placed.
func early(e *slice.Element, p slice.Packaging) slice.Packaging {
	if p.Chart == nil || !strings.Contains(string(p.Chart.Values), "${config:") {
		return p
	}
	var v any
	if json.Unmarshal(p.Chart.Values, &v) != nil {
		return p
	}
	v = configured(v, e.Configuration)
	raw, err := json.Marshal(v)
	if err != nil {
		return p
	}
	c := *p.Chart
	c.Values = raw
	p.Chart = &c
	return p
}

func configured(v any, with map[string]string) any {
	switch t := v.(type) {
	case string:
		return wantedRE.ReplaceAllStringFunc(t, func(whole string) string {
			m := wantedRE.FindStringSubmatch(whole)
			if value, ok := with[m[2]]; ok && m[1] == "config" {
				return value
			}
			return whole
		})
	case []any:
		for i := range t {
			t[i] = configured(t[i], with)
		}
	case map[string]any:
		for k := range t {
			t[k] = configured(t[k], with)
		}
	}
	return v
}

// survey asks sites, side by side and for a bounded time, what images run on.
// Who does not answer is remembered as such. An answer is for all who ask: that
// one of them goes away does not end it.
func (s *Service) survey(ctx context.Context, questions []imageQuestion) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), surveyWithin)
	defer cancel()
	distinct := map[surveyKey]slice.Packaging{}
	for _, q := range questions {
		distinct[q.key] = q.pack
	}
	slots := make(chan struct{}, askSideBySide)
	var asked sync.WaitGroup
	for k, pack := range distinct {
		other, mine := s.surveys.begin(k)
		asked.Go(func() {
			if !mine {
				select {
				case <-other:
				case <-ctx.Done():
				}
				return
			}
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
				s.surveys.put(k, survey{err: fault.Of(ctx.Err())})
				return
			}
			images, err := s.askImages(ctx, k.site, pack)
			s.surveys.put(k, survey{images: images, err: err})
		})
	}
	asked.Wait()
}

func (s *Service) askImages(ctx context.Context, id string, pack slice.Packaging) ([]domain.Image, error) {
	var v *slice.Infrastructure
	var site domain.Site
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		v, site, err = s.site(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	t, ok := s.teller(v)
	if !ok {
		return nil, fault.New(fault.Unavailable, "plugin %s does not tell of images", v.Plugin)
	}
	return t.Images(ctx, site, pack)
}

// Prepare asks the sites that an operation may place at what the images of its
// elements run on. Plan goes by what is known then.
func (s *Service) Prepare(ctx context.Context, op *operation.Operation) {
	if op.Type == operation.Terminate {
		return
	}
	ctx = asService(ctx, op)
	var unasked []imageQuestion
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		unasked = nil
		if able, err := s.place.anyTeller(ctx, tx, s.teller); err != nil || !able {
			return err
		}
		sit, err := s.situation(ctx, tx, op)
		if err != nil || sit.Slice == nil {
			return err
		}
		if due, err := sit.placing(ctx, tx); err != nil || !due {
			return err
		}
		if err := s.place.consider(ctx, tx, sit); err != nil {
			return err
		}
		unasked = sit.unasked
		return nil
	})
	if err != nil { // planning meets it too, and says so
		s.c.Log.Debug("what images run on is not asked", "operation", op.ID, "error", err)
		return
	}
	if len(unasked) > 0 {
		s.survey(ctx, unasked)
	}
}

// anyTeller reports whether there is an infrastructure that tells of images.
func (p *placer) anyTeller(ctx context.Context, tx operation.Tx, able func(*slice.Infrastructure) (domain.ImageTeller, bool)) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(ctx, tx); err != nil {
		return false, err
	}
	for _, v := range p.infra {
		if _, ok := able(v); ok {
			return true, nil
		}
	}
	return false, nil
}

// consider notes in the situation what deciding it would want to know.
func (p *placer) consider(ctx context.Context, tx operation.Tx, sit *Situation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(ctx, tx); err != nil {
		return err
	}
	_ = p.question(sit)
	return nil
}

// imageNote is what was known of an image when its element was placed.
type imageNote struct {
	Element        string `json:"element"`
	Infrastructure string `json:"infrastructure"`
	Node           string `json:"node,omitempty"`
	NodeArch       string `json:"nodeArchitecture,omitempty"`
	domain.Image
	// Note says in a sentence what was not known.
	Note string `json:"note,omitempty"`
}

// imageRules narrows the nodes of an infrastructure to what the images of an
// element run on there; why tells that no node is left.
func (p *placer) imageRules(sit *Situation, e *slice.Element, v *slice.Infrastructure, el *placement.Element) (why string) {
	if sit.images == nil {
		return ""
	}
	a, ok := sit.images(e, v)
	if !ok || a.err != nil {
		return ""
	}
	for _, i := range a.images {
		if !i.Known {
			continue
		}
		have := map[string]bool{}
		fits := false
		for id := range p.nodesOf[v.ID] {
			arch := p.nodes[id].Architecture
			have[arch] = true
			fits = fits || arch == "" || slices.Contains(i.Architectures, arch)
		}
		if !fits {
			return fmt.Sprintf("image %s is there only for %s (%s); its nodes are %s", i.Name,
				strings.Join(i.Architectures, ", "), i.From, strings.Join(slices.Sorted(maps.Keys(have)), ", "))
		}
		el.Requirements.Images = append(el.Requirements.Images, placement.Image{Name: i.Name, Infrastructure: v.ID, Arch: i.Architectures})
	}
	return ""
}

// imageNotes says of each placed element what was known of its images there.
func (p *placer) imageNotes(sit *Situation) []imageNote {
	const most = 200
	var out []imageNote
	if sit.images == nil {
		return nil
	}
	for _, e := range sit.Elements {
		at, placed := sit.Places[e.ID]
		if !placed {
			continue
		}
		a, ok := sit.images(e, at.Infrastructure)
		if !ok {
			continue
		}
		about := imageNote{Element: e.Name, Infrastructure: at.Infrastructure.Name, Node: at.Node.Name, NodeArch: at.Node.Architecture}
		if a.err != nil {
			about.Note = "it is not known what the images run on: " + fault.Of(a.err).Error()
			out = append(out, about)
			continue
		}
		for _, i := range a.images {
			n := about
			n.Image = i
			if !i.Known && !slices.Contains(i.Architectures, n.NodeArch) {
				n.Note = fmt.Sprintf("it is not known whether %s runs on %s: %s", i.Name, cmp.Or(n.NodeArch, "this node"), i.Unknown)
			}
			out = append(out, n)
		}
	}
	return out[:min(len(out), most)]
}
