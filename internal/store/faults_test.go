package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
	"github.com/osmoslice/osmoslice/internal/store/pgtest"
)

// writerEnv makes this test binary a process that commits until it is killed.
const writerEnv = "OSMOSLICE_TEST_WRITER"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(writerEnv); dsn != "" {
		writeUntilKilled(dsn)
	}
	os.Exit(m.Run())
}

func slice1(name string) *slice.IoTSlice {
	return &slice.IoTSlice{Meta: slice.Meta{Tenant: "t", Name: name}, State: slice.Designed}
}

func insertOne(ctx context.Context, db *store.DB, r slice.Resource) error {
	return db.Update(ctx, func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, r) })
}

// writeUntilKilled prints the number of each slice once its commit is
// acknowledged. Several write at once, so that commits are shared.
func writeUntilKilled(dsn string) {
	ctx := context.Background()
	db, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				n := strconv.Itoa(w) + "-" + strconv.Itoa(i)
				if err := insertOne(ctx, db, slice1(n)); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				_, _ = os.Stdout.WriteString(n + "\n") // one write: never torn
			}
		}()
	}
	select {}
}

// What was acknowledged is there after kill -9, and the file is whole.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	total := 0
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var said []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Error(lines.Text())
				break
			}
			said = append(said, lines.Text())
			if len(said) == 20+30*round {
				_ = cmd.Process.Kill() // and read what is still in the pipe
			}
		}
		_ = cmd.Wait()
		if t.Failed() {
			return
		}
		db := open(t, path)
		err = db.View(t.Context(), func(ctx context.Context, tx operation.Tx) error {
			for _, n := range said {
				r, err := tx.ByName(ctx, slice.KindIoTSlice, "t", "", n)
				if err != nil {
					t.Errorf("acknowledged, but gone: %v", err)
				} else if r.Head().Revision != 1 {
					t.Errorf("%s has revision %d", n, r.Head().Revision)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		total += len(said)
		// The outbox agrees with the resources: each commit was whole.
		_, newest, err := db.EventBounds(t.Context())
		if err != nil || newest < int64(len(said)) {
			t.Fatalf("newest event %d, %v", newest, err)
		}
		events, err := db.Events(t.Context(), 0, 100000)
		if err != nil || int64(len(events)) != newest {
			t.Fatalf("%d events up to position %d, %v", len(events), newest, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		// The next round's writer begins with other names.
		if err := os.Rename(path, path+strconv.Itoa(round)); err != nil {
			t.Fatal(err)
		}
	}
	if total < 200 {
		t.Fatalf("only %d commits were acknowledged: the check is too weak", total)
	}
}

// mount gives a small file system of its own, where the tests may do so.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		why := fmt.Sprintf("a tmpfs cannot be mounted here (%v); run as root to test a full disk", err)
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal(why)
		}
		t.Skip("SKIPPED: " + why)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full disk is told as such, costs nothing that was acknowledged, does not
// stop reading, and when there is room again, writing goes on.
func TestDiskFull(t *testing.T) {
	dir := mount(t, "size=2m")
	path := filepath.Join(dir, "store.db")
	db := open(t, path)
	var acknowledged []string
	var err error
	for i := 0; err == nil && i < 100000; i++ {
		s := slice1("s" + strconv.Itoa(i))
		s.Description = strings.Repeat("x", 4000)
		if err = insertOne(t.Context(), db, s); err == nil {
			acknowledged = append(acknowledged, s.ID)
		}
	}
	if !fault.Is(err, fault.NoSpace) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("%v (%s), want NoSpace", err, fault.Of(err).Kind)
	}
	check := func(db *store.DB) {
		t.Helper()
		err := db.View(t.Context(), func(ctx context.Context, tx operation.Tx) error {
			for _, id := range acknowledged {
				if _, err := tx.Get(ctx, slice.KindIoTSlice, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("acknowledged, but: %v", err)
		}
	}
	check(db)
	if err := insertOne(t.Context(), db, &slice.IoTSlice{Meta: slice.Meta{Tenant: "t", Name: "still", Description: strings.Repeat("y", 3<<20)}}); !fault.Is(err, fault.NoSpace) {
		t.Fatalf("still full: %v", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	s := slice1("after")
	if err := insertOne(t.Context(), db, s); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	acknowledged = append(acknowledged, s.ID)
	check(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	check(open(t, path))
}

// A directory that cannot be written says so, when the store is opened and when
// it becomes so later.
func TestReadOnlyDirectory(t *testing.T) {
	dir := mount(t, "size=8m")
	path := filepath.Join(dir, "store.db")
	db := open(t, path)
	if err := insertOne(t.Context(), db, slice1("a")); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), path, store.Options{})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "cannot be written") {
		t.Fatalf("%v", err)
	}
}

func TestOpenTrouble(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := filepath.Join(dir, "whole.db")
	db := open(t, whole)
	for i := range 300 {
		if err := insertOne(t.Context(), db, slice1("s"+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	inUse := filepath.Join(dir, "in-use.db")
	open(t, inUse)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	header := append([]byte(nil), good...)
	copy(header[16:100], strings.Repeat("\xff", 84))
	for name, c := range map[string]struct {
		dsn  string
		kind fault.Kind
		says []string
	}{
		"no database":    {write("text.db", strings.Repeat("not a database ", 1000)), fault.Unavailable, []string{"text.db", "corrupt or no database", "backup"}},
		"corrupt header": {write("header.db", string(header)), fault.Unavailable, []string{"header.db"}},
		"in use":         {inUse, fault.Unavailable, []string{"in-use.db", "in use by another process"}},
		"no directory":   {filepath.Join(dir, "no", "such", "x.db"), fault.Unavailable, []string{"does not exist"}},
		"a directory":    {dir, fault.Unavailable, []string{dir}},
		"scheme":         {"mysql://secret:pw@host/db", fault.Invalid, []string{"database", "sqlite:///path/file.db"}},
		"empty":          {"", fault.Invalid, []string{"database"}},
		"relative URL":   {"sqlite://file.db", fault.Invalid, []string{"sqlite:///absolute/path/file.db"}},
		"bad DSN":        {"postgres://u:secret@[::1/db", fault.Invalid, []string{"postgres://user@host"}},
		"no server":      {"postgres://u:secret@127.0.0.1:1/db?sslmode=disable", fault.Unavailable, []string{"does not answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := store.Open(t.Context(), c.dsn, store.Options{})
			if err == nil {
				_ = got.Close()
			}
			if !fault.Is(err, c.kind) {
				t.Fatalf("%v, want %s", err, c.kind)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
	if _, err := store.Open(t.Context(), whole, store.Options{Synchronous: "off"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("synchronous off: %v", err)
	}
}

// A backup that is cut off, foreign or of nothing is refused before anything is
// touched.
func TestRestoreTrouble(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "a.db"))
	for i := range 200 {
		if err := insertOne(t.Context(), db, slice1("s"+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "backup.db")
	if err := db.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.db")
	if err := os.WriteFile(cut, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	if err := os.WriteFile(foreign, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "target.db")
	for _, bad := range []string{cut, foreign, filepath.Join(dir, "nothing.db")} {
		err := store.Restore(t.Context(), bad, target, false, store.Options{})
		if err == nil || fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v (%s)", bad, err, fault.Of(err).Kind)
		}
		if _, err := os.Stat(target); err == nil {
			t.Fatal("the target was touched")
		}
	}
	// While it is served, a second process may read and back up, not write.
	ro, err := store.OpenReadOnly(t.Context(), filepath.Join(dir, "a.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if err := ro.Backup(t.Context(), filepath.Join(dir, "second.db")); err != nil {
		t.Fatal(err)
	}
	if err := insertOne(t.Context(), ro, slice1("no")); err == nil {
		t.Fatal("a store opened for reading was written to")
	}
}

// TestServer runs what needs a PostgreSQL of its own.
func TestServer(t *testing.T) {
	server := pgtest.Start(t)
	t.Run("RestoreAcross", func(t *testing.T) { restoreAcross(t, server) })
	t.Run("GoneAndBack", func(t *testing.T) { goneAndBack(t, server) })
}

// Between two databases of different kinds, both ways.
func restoreAcross(t *testing.T, server *pgtest.Server) {
	lite, pg := filepath.Join(t.TempDir(), "a.db"), server.DSN(t)
	a := open(t, lite)
	for i := range 150 {
		if err := insertOne(t.Context(), a, slice1("s"+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	there, back := filepath.Join(dir, "there.db"), filepath.Join(dir, "back.db")
	if err := a.Backup(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), there, pg, false, store.Options{}); err != nil {
		t.Fatal(err)
	}
	b := open(t, pg)
	if err := insertOne(t.Context(), b, slice1("one more")); err != nil {
		t.Fatal(err)
	}
	if err := b.Backup(t.Context(), back); err != nil { // its last event waits for its position
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again.db")
	if err := store.Restore(t.Context(), back, again, false, store.Options{}); err != nil {
		t.Fatal(err)
	}
	c := open(t, again)
	events, err := c.Events(t.Context(), 0, 1000)
	if err != nil || len(events) != 151 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for i, e := range events {
		if e.Position != int64(i)+1 {
			t.Fatalf("event %d has position %d", i, e.Position)
		}
	}
	audits, err := c.Audits(t.Context(), operation.Query{Limit: 1000})
	if err != nil || len(audits) != 151 {
		t.Fatalf("%d audit records, %v", len(audits), err)
	}
	if err := insertOne(t.Context(), c, slice1("and more")); err != nil {
		t.Fatal(err)
	}
}

// PostgreSQL goes away and comes back: calls fail with words in between, what
// was acknowledged is there, and the store recovers by itself.
func goneAndBack(t *testing.T, server *pgtest.Server) {
	db := open(t, server.DSN(t))
	s := slice1("before")
	if err := insertOne(t.Context(), db, s); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	for _, call := range map[string]func() error{
		"write": func() error { return insertOne(t.Context(), db, slice1("during")) },
		"read": func() error {
			return db.View(t.Context(), func(ctx context.Context, tx operation.Tx) error {
				_, err := tx.Get(ctx, slice.KindIoTSlice, s.ID)
				return err
			})
		},
		"ping":  func() error { return db.Ping(t.Context()) },
		"claim": func() error { _, err := db.Claim(t.Context(), "o", 1, 1, time.Second); return err },
	} {
		err := call()
		if f := fault.Of(err); err == nil || f.Kind != fault.Unavailable || f.Retry != fault.Backoff || !strings.Contains(f.Detail, "does not answer") {
			t.Errorf("%v (%s)", err, f.Kind)
		}
	}
	start := time.Now()
	db.Wait(t.Context(), 10*time.Millisecond) // polling goes on
	if time.Since(start) > 20*time.Second {
		t.Error("Wait waits for the server")
	}
	server.Again(t)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := insertOne(t.Context(), db, slice1("after"))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not back: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	err := db.View(t.Context(), func(ctx context.Context, tx operation.Tx) error {
		_, err := tx.Get(ctx, slice.KindIoTSlice, s.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
