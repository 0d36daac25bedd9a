package helm

import (
	"testing"

	"pgregory.net/rapid"
)

// TestNext is the state machine as a table: what is recorded, and what is done.
func TestNext(t *testing.T) {
	const wish = "w"
	for _, c := range []struct {
		name  string
		state State
		want  Action
		rev   int
	}{
		{"nothing", nil, Install, 0},
		{"deployed as wished", State{{1, Deployed, wish, "", at}}, Done, 1},
		{"deployed, another wish", State{{1, Deployed, "x", "", at}}, Upgrade, 0},
		{"deployed by a person", State{{1, Deployed, "", "", at}}, Upgrade, 0},
		{"the first install failed", State{{1, Failed, wish, "boom", at}}, Upgrade, 0},
		{"the first install failed, another wish", State{{1, Failed, "x", "boom", at}}, Upgrade, 0},
		{"killed in the first install", State{{1, PendingInstall, wish, "", at}}, Unlock, 1},
		{"killed in an upgrade", State{{1, Deployed, "x", "", at}, {2, PendingUpgrade, wish, "", at}}, Unlock, 2},
		{"killed in a rollback", State{{1, Superseded, wish, "", at}, {2, Deployed, "x", "", at}, {3, PendingRollback, wish, "", at}}, Unlock, 3},
		{"an upgrade failed, the former is wished", State{{1, Deployed, wish, "", at}, {2, Failed, "x", "boom", at}}, Rollback, 1},
		{"an upgrade failed, it is wished again", State{{1, Deployed, "x", "", at}, {2, Failed, wish, "boom", at}}, Upgrade, 0},
		{"back to a former revision", State{{1, Superseded, wish, "", at}, {2, Deployed, "x", "", at}}, Rollback, 1},
		{"the newest of two former", State{{1, Superseded, wish, "", at}, {2, Superseded, "x", "", at}, {3, Superseded, wish, "", at}, {4, Failed, "y", "", at}}, Rollback, 3},
		{"a former one that failed is no place to go", State{{1, Failed, wish, "boom", at}, {2, Deployed, "x", "", at}}, Upgrade, 0},
		{"killed in an uninstall", State{{1, Superseded, "x", "", at}, {2, Uninstalling, wish, "", at}}, Purge, 0},
		{"uninstalled, history kept", State{{1, Uninstalled, wish, "", at}}, Purge, 0},
		{"killed between two records", State{{1, Superseded, "x", "", at}}, Upgrade, 0},
	} {
		if got := Next(c.state, wish); got.Action != c.want || got.Revision != c.rev {
			t.Errorf("%s: %+v, want %s of %d", c.name, got, c.want, c.rev)
		}
	}
}

// TestNextSettles: from whatever is recorded, when each step does what it says,
// the wish is reached in at most maxSteps.
func TestNextSettles(t *testing.T) {
	statuses := []Status{Deployed, Superseded, Failed, PendingInstall, PendingUpgrade, PendingRollback, Uninstalling, Uninstalled}
	rapid.Check(t, func(t *rapid.T) {
		var s State
		for n := range rapid.IntRange(0, 5).Draw(t, "revisions") {
			s = append(s, Revision{Number: n + 1, Status: rapid.SampledFrom(statuses).Draw(t, "status"), Digest: rapid.SampledFrom([]string{"", "w", "x"}).Draw(t, "digest")})
		}
		for range maxSteps {
			step := Next(s, "w")
			last, _ := s.Last()
			switch step.Action {
			case Done:
				if last.Status != Deployed || last.Digest != "w" {
					t.Fatalf("done with %+v", last)
				}
				return
			case Unlock:
				s[len(s)-1].Status = Failed
			case Purge:
				s = nil
			case Install, Upgrade, Rollback:
				if len(s) > 0 && s[len(s)-1].Status == Deployed {
					s[len(s)-1].Status = Superseded
				}
				s = append(s, Revision{Number: last.Number + 1, Status: Deployed, Digest: "w"})
			}
		}
		t.Fatalf("not settled: %+v", s)
	})
}

func TestFirstCause(t *testing.T) {
	s := State{{1, Deployed, "a", "fine", at}, {2, Failed, "b", "quota exceeded", at}, {3, Failed, "b", "still in progress", at}}
	if got := s.FirstCause(); got != "quota exceeded" {
		t.Errorf("%q", got)
	}
	if got := append(s, Revision{Number: 4, Status: Deployed, Description: "fine"}).FirstCause(); got != "" {
		t.Errorf("after a success: %q", got)
	}
}
