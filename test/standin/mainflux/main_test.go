package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
)

// TestTheChartSpellsMainflux: every variable that the chart sets is one of
// Mainflux's; a misspelt one would leave a default that does not work.
func TestTheChartSpellsMainflux(t *testing.T) {
	c, err := helm.Load(charts.Files(), "mainflux")
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Render("rel", "ns", nil)
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`name: (MF_[A-Z_]+)`).FindAllStringSubmatch(text, -1)
	if len(names) < 60 {
		t.Fatalf("only %d variables are rendered", len(names))
	}
	for _, n := range names {
		if _, err := environment([]string{n[1] + "=x"}); err != nil {
			t.Error(err)
		}
	}
	if _, err := environment([]string{"MF_THINGS_CASH_URL=x"}); err == nil || !strings.Contains(err.Error(), "MF_THINGS_CASH_URL") {
		t.Errorf("a misspelt variable: %v", err)
	}
	if env, err := environment([]string{"HOME=/", "MF_AUTH_DB_HOST=db"}); err != nil || env["MF_AUTH_DB_HOST"] != "db" || env["MF_AUTH_DB_PORT"] != "5432" {
		t.Errorf("%v, %v", env["MF_AUTH_DB_HOST"], err)
	}
}

func TestTokens(t *testing.T) {
	token := sign("one", "admin@example.org")
	if got := signer("one", token); got != "admin@example.org" {
		t.Errorf("the token is %q's", got)
	}
	if signer("two", token) != "" || signer("one", token+"x") != "" || signer("one", "x") != "" {
		t.Error("a token that another secret made, or nobody, is taken")
	}
}

// TestStateSurvives: what users and things hold is the same after a restart.
func TestStateSurvives(t *testing.T) {
	a := mainfluxtest.Unserved(mainfluxtest.Options{AdminEmail: "a@b", AdminPassword: "12345678"})
	raw, err := a.State()
	if err != nil {
		t.Fatal(err)
	}
	b := mainfluxtest.Unserved(mainfluxtest.Options{})
	if err := b.Restore(raw); err != nil {
		t.Fatal(err)
	}
	again, err := b.State()
	if err != nil || !slices.Equal(raw, again) {
		t.Errorf("restored %s, was %s (%v)", again, raw, err)
	}
}
