package host

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// placeholder is what a driver fills in: ${port:NAME} (the number),
// ${listen:NAME} (host:port to listen on), ${dir} (the function's directory)
// and ${file:NAME} (a file's path). Anything else between ${ and } is not ours.
var placeholder = regexp.MustCompile(`\$\{(?:dir|(?:port|listen|file):[^}]*)\}`)

// filler fills placeholders for one deployment.
type filler struct {
	dir    string // the function's working directory
	listen string
	ports  map[string]int
	files  map[string][]byte
}

// fill replaces every placeholder in s; field names s in a fault.
func (f filler) fill(field, s string) (string, error) {
	var wrong error
	out := placeholder.ReplaceAllStringFunc(s, func(m string) string {
		what, name, _ := strings.Cut(strings.TrimSuffix(m[2:], "}"), ":")
		if what == "dir" {
			return f.dir
		}
		if what == "file" {
			if _, ok := f.files[name]; !ok {
				wrong = fault.Field(field, m, "a placeholder that names one of the deployment's files")
			}
			return filepath.Join(f.dir, name)
		}
		n, ok := f.ports[name]
		if !ok {
			wrong = fault.Field(field, m, "a placeholder that names one of the deployment's ports")
		}
		if what == "listen" {
			return net.JoinHostPort(f.listen, strconv.Itoa(n))
		}
		return strconv.Itoa(n)
	})
	return out, wrong
}

// args are the artefact's own arguments, then the deployment's.
func (f filler) args(d domain.Deployment) ([]string, error) {
	var args []string
	for _, a := range append(append([]string(nil), d.Packaging.Process.Args...), d.Args...) {
		a, err := f.fill("args", a)
		if err != nil {
			return nil, err
		}
		args = append(args, a)
	}
	return args, nil
}

// env is a small environment of its own, then the deployment's: nothing of the
// service's environment reaches a function.
func (f filler) env(d domain.Deployment, tmp string) ([]string, error) {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	env := []string{"PATH=" + path, "HOME=" + f.dir, "TMPDIR=" + tmp}
	for _, k := range sortedKeys(d.Env) {
		v, err := f.fill("env/"+k, d.Env[k])
		if err != nil {
			return nil, err
		}
		env = append(env, k+"="+v)
	}
	return env, nil
}

// contents are the files as they are to be written.
func (f filler) contents(d domain.Deployment) (map[string][]byte, error) {
	files := make(map[string][]byte, len(d.Files))
	for _, name := range sortedKeys(d.Files) {
		s, err := f.fill("files/"+name, string(d.Files[name]))
		if err != nil {
			return nil, err
		}
		files[name] = []byte(s)
	}
	return files, nil
}
