package server

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// TestMosquittoClients publishes and subscribes with somebody else's MQTT
// clients, in both protocol versions.
func TestMosquittoClients(t *testing.T) {
	for _, program := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	for _, version := range []string{"mqttv311", "mqttv5"} {
		t.Run(version, func(t *testing.T) { mosquitto(t, version) })
	}
}

func mosquitto(t *testing.T, version string) {
	h := open(t, nil)
	c, other := h.client("gw"), h.client("other")
	host, port, err := net.SplitHostPort(h.MQTT().String())
	if err != nil {
		t.Fatal(err)
	}
	client := func(program string, as client, channel string, more ...string) *exec.Cmd {
		// The key is a throw-away of this test: mosquitto takes it as an argument.
		args := append([]string{"-V", version, "-h", host, "-p", port, "-u", as.id, "-P", as.key, "-q", "1", "-t", "channels/" + channel + "/messages"}, more...)
		return exec.CommandContext(t.Context(), program, args...)
	}
	sub := client("mosquitto_sub", c, c.channel, "-C", "1", "-W", "20")
	heard, err := sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(heard).ReadString('\n')
		line <- strings.TrimSpace(text)
	}()
	const body = `[{"n":"sensor-1:temperature","u":"Cel","v":21.5}]`
	// Until the subscription stands nothing is heard; every publish is stored.
	sent := int64(0)
	for got := ""; got == ""; {
		if out, err := client("mosquitto_pub", c, c.channel, "-m", body).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		sent++
		select {
		case got = <-line:
			if got != body {
				t.Fatalf("heard %q", got)
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := sub.Wait(); err != nil {
		t.Error(err)
	}
	if n := h.total(c); n != sent {
		t.Errorf("%d points, %d messages were acknowledged", n, sent)
	}
	if client("mosquitto_pub", other, c.channel, "-m", body).Run() == nil && h.total(c) != sent {
		t.Error("published to another's channel")
	}
	stranger := c
	stranger.key = "wrong"
	if client("mosquitto_pub", stranger, c.channel, "-m", body).Run() == nil {
		t.Error("a wrong password was taken")
	}
	if n := h.total(c); n != sent {
		t.Errorf("%d points after others tried, want %d", n, sent)
	}
}

// TestCURL posts as a shell would, without a content type of SenML.
func TestCURL(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	h := open(t, nil)
	c := h.client("gw")
	body, err := senml.EncodeJSON(senml.Pack{{Name: "t", Value: senml.Float(1)}})
	if err != nil {
		t.Fatal(err)
	}
	curl := exec.CommandContext(t.Context(), "curl", "-sS", "-f", "-o", "/dev/null", "-w", "%{http_code}", "-H", "@-", "-d", string(body),
		"http://"+h.API().String()+"/channels/"+c.channel+"/messages")
	curl.Stdin = strings.NewReader("Authorization: Thing " + c.key + "\n")
	out, err := curl.CombinedOutput()
	if err != nil || string(out) != "202" {
		t.Errorf("curl: %s, %v", out, err)
	}
	if n := h.total(c); n != 1 {
		t.Errorf("%d points, want 1", n)
	}
	if r := h.call("GET", "/healthz", "", nil); r.status != http.StatusOK {
		t.Errorf("health %d", r.status)
	}
}
