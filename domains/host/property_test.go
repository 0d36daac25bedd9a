package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// TestPortProperties reserves and gives back at random: no port has two owners,
// what is had is kept, and only a full range refuses.
func TestPortProperties(t *testing.T) {
	const size = 5
	from := freeRange(t, size)
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		d := New(Options{Dir: filepath.Join(dir, fmt.Sprint(runs))})
		p := place{connection: connection{Listen: "127.0.0.1", Ports: &portRange{from, from + size - 1}}, dir: filepath.Join(d.o.Dir, "sites", "s")}
		held := map[string]map[string]int{} // release -> name -> port
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			release := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "release")
			// A reservation whose deployment has no directory counts as stale.
			if err := d.prepare(p.unit(release).Dir); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "give back") {
				if err := d.releasePorts(p.owner(release), nil); err != nil {
					t.Fatal(err)
				}
				delete(held, release)
				continue
			}
			var wanted []slice.Port
			for i := range rapid.IntRange(1, 3).Draw(t, "ports") {
				wanted = append(wanted, slice.Port{Name: fmt.Sprint(i), Protocol: "tcp"})
			}
			had := maps.Clone(d.reservedBy(p.owner(release)))
			got, err := d.reserve(p, release, wanted, nil)
			if err != nil {
				if taken := len(reservations(d)); !fault.Is(err, fault.Conflict) || taken != size {
					t.Fatalf("refused with %d of %d ports taken: %v", taken, size, err)
				}
				held[release] = d.reservedBy(p.owner(release))
				continue
			}
			for name, n := range had {
				if got[name] != 0 && got[name] != n {
					t.Fatalf("port %s of %s moved from %d to %d", name, release, n, got[name])
				}
			}
			held[release] = d.reservedBy(p.owner(release))
			owners := map[int]string{}
			for r, ports := range held {
				for name, n := range ports {
					if other := owners[n]; other != "" || n < from || n >= from+size {
						t.Fatalf("port %d of %s/%s, and of %q", n, r, name, other)
					}
					owners[n] = r + "/" + name
				}
			}
		}
	})
}

func reservations(d *Driver) map[string]int { return d.reservedBy("s") }

// TestFillProperties: what is no placeholder stays as it is, what is one is
// replaced wherever it stands.
func TestFillProperties(t *testing.T) {
	f := filler{dir: "/unit/work", listen: "::1", ports: map[string]int{"http": 20001}, files: map[string][]byte{"a/b": nil}}
	marks := map[string]string{"${port:http}": "20001", "${listen:http}": "[::1]:20001", "${dir}": "/unit/work", "${file:a/b}": "/unit/work/a/b"}
	rapid.Check(t, func(t *rapid.T) {
		var in, want strings.Builder
		for range rapid.IntRange(0, 6).Draw(t, "parts") {
			text := rapid.SampledFrom([]string{"", "x", "$", "{}", "a: b", "${OTHER}", "${dirs}", "${port}"}).Draw(t, "text")
			mark := rapid.SampledFrom(sortedKeys(marks)).Draw(t, "mark")
			in.WriteString(text + mark + "\n")
			want.WriteString(text + marks[mark] + "\n")
		}
		got, err := f.fill("args", in.String())
		if err != nil || got != want.String() {
			t.Fatalf("%q became %q, want %q, %v", in.String(), got, want.String(), err)
		}
	})
	if got, err := f.fill("args", "$HOME ${HOME} ${dir ${dirs} {dir}"); err != nil || got != "$HOME ${HOME} ${dir ${dirs} {dir}" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzConnection: whatever is given, the answer is a usable connection or a
// fault that names a field.
func FuzzConnection(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, ``, `{"ports":{"from":1,"to":2}}`, `{"capacity":{"cpu":1e3}}`, `{"latencyMs":1e999}`, `{"x":1}`, `[`, `{}{}`, `{"hostId":"a","kind":"FOG","advertise":"::1"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := connect(domain.Site{Connection: json.RawMessage(raw)}, nil)
		if err != nil {
			if fl := fault.Of(err); fl.Kind != fault.Invalid || len(fl.Params) == 0 {
				t.Errorf("%v names no field", err)
			}
			return
		}
		if c.Ports.From > c.Ports.To || c.Ports.From < 1 || c.Advertise == "" || c.Listen == "" || c.Artefacts != "" {
			t.Errorf("%+v", c)
		}
	})
}
