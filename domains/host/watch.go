package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/osmoslice/osmoslice/internal/domain"
)

// patrol is how often Watch looks for what no file tells: shims that were
// killed, releases whose notice was lost.
const patrol = time.Second

// Watch tells changes of the site's deployments: it watches the directories in
// which shims and Apply replace their files, and looks round every second; a
// function whose shim is gone is brought back. Without inotify (a limit of the
// machine) it tells every deployment every second.
func (d *Driver) Watch(ctx context.Context, s domain.Site, changed chan<- domain.Ref) error {
	p, err := d.claim(s)
	if err == nil {
		err = d.prepare(p.units())
	}
	if err != nil {
		return err
	}
	w := &watch{d: d, p: p, changed: changed, known: map[string]domain.Ref{}, dirs: map[int32]string{}}
	notices := make(chan notice, 16)
	in, err := openInotify(p.units())
	if err != nil {
		d.o.Logger.Warn("no inotify: polling", "cause", err)
		w.blind = true
	} else {
		w.in = in
		defer in.Close()
		go in.read(ctx, notices)
	}
	tick := time.NewTicker(patrol)
	defer tick.Stop()
	for err = w.round(ctx); err == nil; {
		select {
		case <-ctx.Done():
			return nil
		case n, ok := <-notices:
			if !ok {
				w.blind, notices = true, nil
				continue
			}
			err = w.noticed(ctx, n)
		case <-tick.C:
			err = w.round(ctx)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watch is one call of Watch.
type watch struct {
	d       *Driver
	p       place
	changed chan<- domain.Ref
	known   map[string]domain.Ref // by release
	dirs    map[int32]string      // watch descriptor -> release
	in      *inotify
	blind   bool
}

// round compares what is there with what is known and brings back what lost
// its shim.
func (w *watch) round(ctx context.Context) error {
	refs, err := w.d.List(ctx, w.p.site)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, ref := range refs {
		there[ref.Release] = true
		was, known := w.known[ref.Release]
		if !known && w.in != nil {
			if wd, err := w.in.add(w.p.unit(ref.Release).Dir); err == nil {
				w.dirs[wd] = ref.Release
			}
		}
		w.known[ref.Release] = ref
		lost := w.revive(ctx, ref.Release)
		if !known || lost || w.blind || was.Generation != ref.Generation {
			if err := w.tell(ctx, ref); err != nil {
				return err
			}
		}
	}
	for release, ref := range w.known {
		if !there[release] {
			delete(w.known, release)
			if err := w.tell(ctx, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// revive reports whether the release had lost its shim.
func (w *watch) revive(ctx context.Context, release string) bool {
	u := w.p.unit(release)
	if r, err := readRecord(u.Dir); err != nil || r == nil || r.Progress != applied || u.Served() {
		return false
	}
	if err := w.d.revive(ctx, w.p, release); err != nil {
		w.d.o.Logger.Error("function cannot be brought back", "release", release, "cause", err)
	}
	return true
}

func (w *watch) tell(ctx context.Context, ref domain.Ref) error {
	select {
	case w.changed <- ref:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *watch) noticed(ctx context.Context, n notice) error {
	if n.overflow || n.wd == w.in.root {
		return w.round(ctx)
	}
	release := w.dirs[n.wd]
	ref, ok := w.known[release]
	if n.mask&unix.IN_IGNORED != 0 { // removed; perhaps made anew already
		delete(w.dirs, n.wd)
		delete(w.known, release)
		if ok {
			if err := w.tell(ctx, ref); err != nil {
				return err
			}
		}
		return w.round(ctx)
	}
	if !ok {
		return nil
	}
	if r, err := readRecord(w.p.unit(release).Dir); err == nil && r != nil {
		ref = r.ref(w.p.site)
		w.known[release] = ref
	}
	return w.tell(ctx, ref)
}

// inotify is one inotify(7) instance.
type inotify struct {
	f    *os.File
	root int32
}

type notice struct {
	wd       int32
	mask     uint32
	overflow bool
}

func openInotify(root string) (*inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	in := &inotify{f: os.NewFile(uintptr(fd), "inotify")}
	if in.root, err = in.watch(root, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		_ = in.f.Close()
		return nil, err
	}
	return in, nil
}

func (in *inotify) watch(dir string, mask uint32) (int32, error) {
	c, err := in.f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var wd int
	var werr error
	if err := c.Control(func(fd uintptr) { wd, werr = unix.InotifyAddWatch(int(fd), dir, mask) }); err != nil {
		return 0, err
	}
	return int32(wd), werr
}

// add watches a unit: shims and Apply move their files into place.
func (in *inotify) add(dir string) (int32, error) {
	return in.watch(dir, unix.IN_MOVED_TO|unix.IN_ONLYDIR)
}

func (in *inotify) Close() { in.f.Close() }

// read sends notices until the instance closes.
func (in *inotify) read(ctx context.Context, to chan<- notice) {
	defer close(to)
	buf := make([]byte, 16<<10)
	for {
		n, err := in.f.Read(buf)
		if err != nil || n <= 0 {
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			e, rest := parseNotice(b)
			b = rest
			if !e.overflow && e.wd == -1 {
				continue
			}
			select {
			case to <- e:
			case <-ctx.Done():
				return
			}
		}
	}
}

// interesting are the files whose replacement may change what Observe tells.
var interesting = map[string]bool{"record.json": true, "state.json": true}

// parseNotice reads one inotify_event; one about a file that does not matter
// answers wd -1.
func parseNotice(b []byte) (notice, []byte) {
	n := notice{wd: int32(binary.NativeEndian.Uint32(b)), mask: binary.NativeEndian.Uint32(b[4:])}
	size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
	name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:min(size, len(b))], "\x00"))
	n.overflow = n.mask&unix.IN_Q_OVERFLOW != 0
	if n.mask&unix.IN_MOVED_TO != 0 && n.mask&unix.IN_ISDIR == 0 && !interesting[filepath.Base(name)] {
		n.wd = -1
	}
	return n, b[min(size, len(b)):]
}
