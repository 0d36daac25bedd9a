package charts

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // registers the "postgres" driver
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// box is a stand-in for the database's container: the chart's own files with
// the container's paths moved below one folder.
type box struct {
	t    *testing.T
	dir  string
	bin  string
	port int
	cred *syscall.Credential
}

func newBox(t *testing.T) *box {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		unavailable(t, "PostgreSQL is not installed (Debian: apt-get install postgresql)")
	}
	b := &box{t: t, bin: filepath.Dir(found[len(found)-1])}
	var err error
	if b.dir, err = os.MkdirTemp("", "pg"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(b.dir) })
	for _, d := range []string{"data", "scripts", "secrets", "run/postgresql"} {
		if err := os.MkdirAll(filepath.Join(b.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	objects, _, err := render(load(t, chartDir("mainflux")), newCluster(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() == "ConfigMap" && strings.HasSuffix(o.GetName(), "-db") {
			data, _, _ := unstructured.NestedStringMap(o.Object, "data")
			for name, content := range data {
				for _, path := range []string{"/scripts/", "/secrets/", "/run/postgresql"} {
					content = strings.ReplaceAll(content, path, b.dir+path)
				}
				content = strings.ReplaceAll(content, "listen_addresses='*'", fmt.Sprintf("listen_addresses=127.0.0.1 -c port=%d -c fsync=off", b.port))
				b.write("scripts/"+name, content)
			}
		}
	}
	if os.Geteuid() == 0 {
		b.unprivileged()
	}
	return b
}

func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED: " + why)
}

func (b *box) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) unprivileged() {
	b.t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		unavailable(b.t, "PostgreSQL refuses to run as root and there is no user nobody")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	b.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, d := range []string{"", "data", "run/postgresql"} {
		if err := os.Chown(filepath.Join(b.dir, d), uid, gid); err != nil {
			b.t.Fatal(err)
		}
	}
}

// start runs the container's command with a password and databases.
func (b *box) start(password, databases string) (stop func(syscall.Signal), output *bytes.Buffer) {
	b.t.Helper()
	b.write("secrets/database", password)
	cmd := exec.CommandContext(context.Background(), "/bin/sh", filepath.Join(b.dir, "scripts/start.sh"))
	cmd.Dir = b.dir
	cmd.Env = []string{"PATH=" + b.bin + ":/usr/bin:/bin", "PGDATA=" + b.dir + "/data/pgdata", "DATABASES=" + databases, "SHARED_BUFFERS=16MB", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.cred, Setpgid: true}
	output = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	stopped := false
	stop = func(s syscall.Signal) {
		if stopped {
			return
		}
		stopped = true
		if s == syscall.SIGKILL {
			_ = syscall.Kill(-cmd.Process.Pid, s)
		} else {
			_ = cmd.Process.Signal(s)
		}
		_ = cmd.Wait()
	}
	b.t.Cleanup(func() { stop(syscall.SIGKILL) })
	return stop, output
}

// asks waits until a database answers to a password.
func (b *box) asks(password, database string, wait time.Duration) error {
	db, err := sql.Open("postgres", fmt.Sprintf("host=127.0.0.1 port=%d user=postgres password=%s dbname=%s sslmode=disable connect_timeout=5", b.port, password, database))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for {
		err = db.PingContext(ctx)
		if err == nil || ctx.Err() != nil || strings.Contains(err.Error(), "does not exist") || strings.Contains(err.Error(), "authentication failed") {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// The database's start script with a real PostgreSQL: killed in the middle of
// its first start, started again, restarted with another password and one
// database more.
func TestDatabaseStartScript(t *testing.T) {
	b := newBox(t)
	stop, _ := b.start("first1", "auth things")
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(filepath.Join(b.dir, "data/pgdata.new")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop(syscall.SIGKILL)

	stop, output := b.start("first1", "auth things")
	for _, database := range []string{"auth", "things"} {
		if err := b.asks("first1", database, time.Minute); err != nil {
			t.Fatalf("database %s: %v\n%s", database, err, output)
		}
	}
	if err := b.asks("wrong", "auth", time.Minute); err == nil {
		t.Error("any password does")
	}
	stop(syscall.SIGINT)

	stop, output = b.start("second2", "auth things messages")
	if err := b.asks("second2", "messages", time.Minute); err != nil {
		t.Fatalf("after a restart: %v\n%s", err, output)
	}
	if err := b.asks("first1", "auth", time.Minute); err == nil {
		t.Error("the password of before still does")
	}
	stop(syscall.SIGINT)
	if strings.Contains(output.String(), "already exists") || strings.Contains(output.String(), "second2") {
		t.Errorf("output:\n%s", output)
	}
}
