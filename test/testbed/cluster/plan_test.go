package cluster

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	all, err := Plan("edge", "cloud:2")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %s %v", all[1].Server(), all[1].Pods, all[1].Services, all[1].DNS, all[1].Nodes)
	want := "https://10.210.2.11:6443 10.2.0.0/16 10.102.0.0/16 10.102.0.10 [{cloud-1 1 10.210.2.11 10.2.1.0/24} {cloud-2 2 10.210.2.12 10.2.2.0/24}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// However many clusters: no two networks overlap.
func TestNetworksDoNotOverlap(t *testing.T) {
	var names []string
	for i := range maxClusters {
		names = append(names, fmt.Sprintf("c%d:%d", i, 1+i%maxNodes))
	}
	all, err := Plan(names...)
	if err != nil {
		t.Fatal(err)
	}
	networks := []netip.Prefix{netip.MustParsePrefix(Operator + "/24")}
	for _, c := range all {
		networks = append(networks, c.Network, c.Pods, c.Services)
	}
	for i, a := range networks {
		for _, b := range networks[:i] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	for given, want := range map[string]string{
		"": "no cluster is named", "edge edge": `"edge" is named twice`, "Edge": `cluster "Edge"`, "edge:0": `"0" is no number of nodes from 1 to`,
		"edge:x": `"x" is no number`, "-edge": "a letter first",
	} {
		if _, err := Plan(strings.Fields(given)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", given, err, want)
		}
	}
}

func TestProcessIsKnownByItsStart(t *testing.T) {
	self, err := Find(os.Getpid())
	if err != nil || !self.Alive() {
		t.Fatalf("this process: %v, alive %t", err, self.Alive())
	}
	if (Process{PID: self.PID, Start: self.Start + 1}).Alive() {
		t.Error("a process of the same number that began at another time is taken for it")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	other, err := Find(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	for deadline := time.Now().Add(30 * time.Second); other.Alive(); { // a zombie already counts as ended
		if time.Now().After(deadline) {
			t.Fatal("a killed process counts as alive")
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = cmd.Wait()
}

func TestArchives(t *testing.T) {
	folder := t.TempDir()
	if _, err := Archives(folder); err == nil {
		t.Error("a folder without archives is accepted")
	}
	for _, name := range []string{"b.tar", "a.oci", ".c.tar", "notes.txt"} {
		if err := os.WriteFile(folder+"/"+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Archives(folder)
	if err != nil || fmt.Sprint(got) != fmt.Sprintf("[%[1]s/a.oci %[1]s/b.tar]", folder) {
		t.Errorf("got %v, %v", got, err)
	}
	if none, err := Archives(""); err != nil || none != nil {
		t.Errorf("no folder: %v, %v", none, err)
	}
}

func TestManifestsRender(t *testing.T) {
	all, err := Plan("edge", "cloud")
	if err != nil {
		t.Fatal(err)
	}
	text, err := render(Bed{Clusters: all}, all[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10.210.2.11 cloud.testbed", "10.210.0.1 operator.testbed", "clusterIP: 10.101.0.10", DNSImage, Provisioner} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
