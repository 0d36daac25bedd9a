package gateway

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/queue"
)

// Names below the data directory, and in an archive of the state.
const (
	registryName = "registry.log"
	queueName    = "queue"
)

// archiveNames are the files an archive may hold.
var archiveNames = regexp.MustCompile(`^(registry\.log|queue/(\d{12}\.seg|cursor|stream))$`)

// maxStateBytes bounds an archive: a queue at its largest and a registry.
const maxStateBytes = 16 << 30

// errNotEmpty refuses an import that would overwrite something.
var errNotEmpty = errors.New("state: this gateway has devices or undelivered readings; replace=true overwrites them")

// getState writes the whole state as a tar archive, consistent at one moment.
func (g *Gateway) getState(w http.ResponseWriter, r *http.Request) {
	files, err := g.snapshotFiles(r.Context())
	defer func() {
		for _, f := range files {
			f.file.Close()
		}
	}()
	if err != nil {
		g.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	out := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: 0o600, Size: f.size, ModTime: time.Now(), Typeflag: tar.TypeReg}
		if err := out.WriteHeader(header); err != nil {
			return // the client went away; a cut archive is refused by putState
		}
		if _, err := io.Copy(out, io.NewSectionReader(f.file, 0, f.size)); err != nil {
			return
		}
	}
	_ = out.Close()
}

// snapshotFile is an open file and how much of it belongs to the snapshot.
type snapshotFile struct {
	name string
	file *os.File
	size int64
}

// snapshotFiles opens every file of the state; what is appended later is not
// part of it, and what is removed later stays readable.
func (g *Gateway) snapshotFiles(ctx context.Context) ([]snapshotFile, error) {
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	if err := g.engine.queue.Flush(ctx); err != nil {
		return nil, err
	}
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	var files []snapshotFile
	add := func(name, path string) error {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
		info, err := file.Stat()
		if err != nil {
			file.Close()
			return fmt.Errorf("state: %w", err)
		}
		files = append(files, snapshotFile{name, file, info.Size()})
		return nil
	}
	if err := add(registryName, filepath.Join(g.config.Data, registryName)); err != nil {
		return files, err
	}
	err := g.engine.queue.Files(func(path string) error { return add(queueName+"/"+filepath.Base(path), path) })
	return files, err
}

// putState replaces the whole state by an archive.
func (g *Gateway) putState(w http.ResponseWriter, r *http.Request) {
	_, st := g.engine.figures()
	if r.URL.Query().Get("replace") != "true" && (g.registry.size() > 0 || st.Queued > 0) {
		answerError(w, http.StatusConflict, errNotEmpty)
		return
	}
	dir, err := os.MkdirTemp(g.config.Data, "import-")
	if err != nil {
		g.fail(w, err)
		return
	}
	defer os.RemoveAll(dir)
	if err := unpack(r.Body, dir); err != nil {
		answerError(w, http.StatusBadRequest, err)
		return
	}
	if err := probe(dir); err != nil {
		answerError(w, http.StatusBadRequest, fmt.Errorf("state: damaged archive: %w", err))
		return
	}
	if err := g.replaceState(dir); err != nil {
		g.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// unpack writes the files of an archive below dir.
func unpack(in io.Reader, dir string) error {
	if err := os.Mkdir(filepath.Join(dir, queueName), 0o700); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	archive := tar.NewReader(io.LimitReader(in, maxStateBytes))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
		if header.Typeflag != tar.TypeReg || !archiveNames.MatchString(header.Name) {
			return bad("state", header.Name, "an archive made by GET /state")
		}
		file, err := os.OpenFile(filepath.Join(dir, header.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
		_, err = io.Copy(file, archive)
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
}

// probe opens what was unpacked as if it were in use, and closes it.
func probe(dir string) error {
	for _, name := range []string{registryName, queueName + "/stream", queueName + "/cursor"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%s is missing", name)
		}
	}
	info, err := os.Stat(filepath.Join(dir, registryName))
	if err != nil {
		return err
	}
	j, err := openJournal(filepath.Join(dir, registryName), func(change) {})
	if err != nil {
		return err
	}
	read := j.bytes
	_ = j.close()
	if read != info.Size() {
		return errLine
	}
	q, err := queue.Open(queue.Options{Dir: filepath.Join(dir, queueName)}, newState())
	if err != nil {
		return err
	}
	return q.Close()
}

// importMark names the directory whose files are to replace the state: once it
// is written, the import will be finished, by a later start if need be.
const importMark = "import"

// finishImport moves the files of a decided import into place; it may be
// repeated. What an undecided import left is removed.
func finishImport(data string) error {
	mark := filepath.Join(data, importMark)
	name, err := os.ReadFile(mark)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("state: %w", err)
	}
	if err == nil {
		for _, part := range []string{registryName, queueName} {
			from, to := filepath.Join(data, filepath.Base(string(name)), part), filepath.Join(data, part)
			if _, err := os.Stat(from); err != nil {
				continue // moved before
			}
			if err := os.RemoveAll(to); err != nil {
				return fmt.Errorf("state: %w", err)
			}
			if err := os.Rename(from, to); err != nil {
				return fmt.Errorf("state: %w", err)
			}
		}
		if err := os.Remove(mark); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(data, "import-*"))
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	for _, dir := range left {
		_ = os.RemoveAll(dir)
	}
	return nil
}

// decideImport writes the mark as a whole.
func decideImport(data, dir string) error {
	mark := filepath.Join(data, importMark)
	if err := os.WriteFile(mark+".new", []byte(filepath.Base(dir)), 0o600); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := os.Rename(mark+".new", mark); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// replaceState swaps the files below dir in while nothing is open, and cuts
// every session of the devices that were there before.
func (g *Gateway) replaceState(dir string) error {
	g.uplink.set(nil)
	g.registry.mu.RLock()
	before := slices.Collect(maps.Values(g.registry.devices))
	g.registry.mu.RUnlock()
	err := g.engine.reopen(func() error {
		g.registry.mu.Lock()
		defer g.registry.mu.Unlock()
		if err := decideImport(g.config.Data, dir); err != nil {
			return err
		}
		_ = g.registry.journal.close()
		for _, d := range g.registry.devices {
			d.gone.Store(true)
		}
		if err := finishImport(g.config.Data); err != nil {
			return err
		}
		return g.registry.load(filepath.Join(g.config.Data, registryName))
	})
	for _, d := range before {
		g.cut(d)
	}
	g.uplink.set(g.registry.getUplink())
	return err
}
