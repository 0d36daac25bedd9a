package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
	"github.com/osmoslice/osmoslice/internal/senml"
	"github.com/osmoslice/osmoslice/test/devices"
)

// tool finds a foreign client; a machine without it skips, but not in CI.
func tool(t *testing.T, debian string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing; Debian has it in %s", names[0], debian)
	}
	t.Skipf("%s is missing; Debian has it in %s", names[0], debian)
	return ""
}

// client runs a foreign client and answers its output and whether it ended well.
func client(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func hostPort(t *testing.T, address string) (string, string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func TestMosquittoClients(t *testing.T) {
	pub := tool(t, "mosquitto-clients", "mosquitto_pub")
	sub := tool(t, "mosquitto-clients", "mosquitto_sub")
	s := startServer(t)
	g := start(t, nil)
	g.attach(s)
	g.device("m", "MQTT", devices.JSON, gateway.Resource{Name: "t", Unit: "Cel"}, gateway.Resource{Name: "led", Type: "boolean", Writable: true})
	host, port := hostPort(t, g.Ports()["mqtt"])
	as := func(version string, more ...string) []string {
		return append([]string{"-V", version, "-h", host, "-p", port, "-u", "m", "-P", "secret-of-m"}, more...)
	}
	want := 0.0
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			want++
			if out, ok := client(t, append([]string{pub}, as(version, "-i", "pub"+qos, "-q", qos, "-t", "devices/m/t", "-m", "1")...)...); !ok {
				t.Fatalf("%s QoS %s: %s", version, qos, out)
			}
			eventually(t, version+" QoS "+qos+" at the server", func() bool { return float64(len(s.values("m:t"))) == want })
		}
		if out, ok := client(t, append([]string{pub}, as(version, "-i", "x", "-q", "1", "-t", "devices/other/t", "-m", "1")...)...); version == "mqttv5" && (ok && !strings.Contains(out, "Not authorized")) {
			t.Errorf("%s published to another's topic: %s", version, out)
		}
		if out, ok := client(t, pub, "-V", version, "-h", host, "-p", port, "-u", "m", "-P", "wrong", "-q", "1", "-t", "devices/m/t", "-m", "1"); ok {
			t.Errorf("%s connected with a wrong password: %s", version, out)
		}
		t.Run("commands "+version, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), sub, as(version, "-i", "sub", "-q", "1", "-t", "devices/m/commands/#", "-C", "1", "-W", "10", "-F", "%t %p")...)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			id := "led-" + version
			g.must(202, "POST", "/commands", `{"id":"`+id+`","device":"m","resource":"led","value":true}`, nil)
			line, _ := bufio.NewReader(out).ReadString('\n')
			if err := cmd.Wait(); err != nil || strings.TrimSpace(line) != "devices/m/commands/led true" {
				t.Fatalf("mosquitto_sub: %q %v", line, err)
			}
			eventually(t, "delivery", func() bool {
				var c gateway.Command
				g.must(200, "GET", "/commands/"+id, nil, &c)
				return c.State == "DELIVERED"
			})
		})
	}
}

// An MQTT 5 client is told why, where 3.1.1 has no words for it.
func TestMQTT5Reasons(t *testing.T) {
	g := start(t, nil)
	g.device("five", "MQTT", devices.JSON, gateway.Resource{Name: "t"})
	c := connect5(t, g.address("MQTT"), "five", "secret-of-five")
	for payload, want := range map[string]byte{`[{"n":"t","v":1}]`: 0, `[{"n":"t"`: 0x99} {
		ack, err := c.Publish(t.Context(), &paho.Publish{Topic: "devices/five/senml", QoS: 1, Payload: []byte(payload)})
		if ack == nil || ack.ReasonCode != want {
			t.Errorf("%s: %+v %v, want reason %#x", payload, ack, err, want)
		}
	}
}

func TestCurl(t *testing.T) {
	curl := tool(t, "curl", "curl")
	s := startServer(t)
	g := start(t, nil)
	g.attach(s)
	g.device("h", "HTTP", devices.JSON, gateway.Resource{Name: "t", Unit: "Cel"})
	url := g.address("HTTP") + "/ingest/h"
	for _, c := range []struct {
		want string
		args []string
	}{
		{"202", []string{"-d", "1", url + "/t"}},
		{"202", []string{"-d", `{"t":2}`, "-H", "Content-Type: application/json", url}},
		{"202", []string{"-d", `[{"n":"t","v":3}]`, "-H", "Content-Type: application/senml+json", url}},
		{"202", []string{"-d", `4`, "-H", "Content-Type: application/json", url + "/t"}},
		{"202", []string{"-d", `{"t":5}`, url}},
		{"400", []string{"-d", `[{"n":`, "-H", "Content-Type: application/senml+json", url}},
		{"415", []string{"-d", "<t>1</t>", "-H", "Content-Type: application/xml", url}},
		{"422", []string{"-d", `{"unknown":1}`, url}},
		{"405", []string{"-X", "PUT", "-d", "1", url + "/t"}},
		{"404", []string{"-d", "1", g.address("HTTP") + "/other"}},
	} {
		args := append([]string{curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Authorization: Bearer secret-of-h"}, c.args...)
		if out, _ := client(t, args...); out != c.want {
			t.Errorf("curl %v: %s, want %s", c.args, out, c.want)
		}
	}
	eventually(t, "five readings", func() bool { return slices.Equal(s.values("h:t"), []any{1.0, 2.0, 3.0, 4.0, 5.0}) })
}

func TestLibcoapClient(t *testing.T) {
	coap := tool(t, "libcoap3-bin", "coap-client", "coap-client-openssl", "coap-client-gnutls")
	s := startServer(t)
	g := start(t, nil)
	g.attach(s)
	g.device("c", "COAP", devices.JSON, gateway.Resource{Name: "t", Unit: "Cel"}, gateway.Resource{Name: "note", Type: "string"}, gateway.Resource{Name: "led", Type: "boolean", Writable: true})
	plain := g.address("COAP") + "/ingest/c"
	long := filepath.Join(t.TempDir(), "long") // several blocks of RFC 7959
	text := strings.Repeat("long ", 1500)
	if err := os.WriteFile(long, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cbor, err := senml.EncodeCBOR(senml.Pack{{Name: "t", Value: senml.Float(2)}})
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "pack")
	if err := os.WriteFile(packed, cbor, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-m", "post", "-e", "1", plain + "/t?auth=secret-of-c"},
		{"-m", "post", "-t", "112", "-f", packed, plain + "?auth=secret-of-c"},
		{"-m", "post", "-e", `[{"n":"t","v":3}]`, "-t", "110", plain + "?auth=secret-of-c"},
		{"-m", "put", "-e", "4", plain + "/t?auth=secret-of-c"},
		{"-m", "post", "-f", long, "-b", "512", plain + "/note?auth=secret-of-c"},
		{"-u", "c", "-k", "secret-of-c", "-m", "post", "-e", "5", g.address("COAPS") + "/ingest/c/t"},
	} {
		if out, ok := client(t, append([]string{coap, "-B", "5"}, args...)...); !ok || strings.Contains(out, "4.") || strings.Contains(out, "ERR") {
			t.Errorf("coap-client %v: %s", args, out)
		}
	}
	eventually(t, "readings", func() bool { return slices.Equal(s.values("c:t"), []any{1.0, 2.0, 3.0, 4.0, 5.0}) })
	eventually(t, "the long text", func() bool { return slices.Equal(s.values("c:note"), []any{text}) })
	for want, args := range map[string][]string{
		"4.01": {"-m", "post", "-e", "1", plain + "/t?auth=wrong"},
		"4.04": {"-m", "post", "-e", "1", g.address("COAP") + "/elsewhere"},
		"4.15": {"-m", "post", "-t", "41", "-e", "<t/>", plain + "?auth=secret-of-c"},
		"4.00": {"-m", "post", "-t", "110", "-e", "[", plain + "?auth=secret-of-c"},
	} {
		if out, _ := client(t, append([]string{coap, "-B", "5"}, args...)...); !strings.Contains(out, want) {
			t.Errorf("coap-client %v: %q, want %s", args, out, want)
		}
	}
	observed := exec.CommandContext(t.Context(), coap, "-s", "3", "-B", "5", "-m", "get", plain+"/commands?auth=secret-of-c")
	var out bytes.Buffer
	observed.Stdout, observed.Stderr = &out, &out
	if err := observed.Start(); err != nil {
		t.Fatal(err)
	}
	g.must(202, "POST", "/commands", `{"id":"led-1","device":"c","resource":"led","value":true}`, nil)
	eventually(t, "delivery to coap-client", func() bool {
		var c gateway.Command
		g.must(200, "GET", "/commands/led-1", nil, &c)
		return c.State == "DELIVERED"
	})
	if err := observed.Wait(); err != nil || !strings.Contains(out.String(), `"id":"led-1"`) {
		t.Fatalf("coap-client observed %q (%v)", out.String(), err)
	}
}

// TLS for devices, when configured.
func TestTLSForDevices(t *testing.T) {
	pair, roots := certificate(t)
	g := start(t, func(c *gateway.Config) { c.DeviceTLS = &tls.Config{Certificates: []tls.Certificate{pair}} })
	g.must(201, "PUT", "/devices/m", gateway.Device{Protocol: "MQTT", Secret: "secret-of-m"}, nil)
	nc, err := tls.Dial("tcp", g.Ports()["mqtt"], &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	c := paho.NewClient(paho.ClientConfig{Conn: nc})
	if ack, err := c.Connect(t.Context(), &paho.Connect{ClientID: "m", CleanStart: true, UsernameFlag: true, Username: "m", PasswordFlag: true, Password: []byte("secret-of-m")}); err != nil || ack.ReasonCode != 0 {
		t.Fatal(err, ack)
	}
	if ack, err := c.Publish(t.Context(), &paho.Publish{Topic: "devices/m/t", QoS: 1, Payload: []byte("1")}); err != nil || ack.ReasonCode != 0 {
		t.Fatal(err, ack)
	}
	_ = c.Disconnect(&paho.Disconnect{})
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
