package rest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// The pages of /docs are Swagger UI, embedded (see internal/tools/swagger-ui.sh):
// they load nothing from elsewhere, and the policy below forbids it to them.

//go:embed assets
var assets embed.FS

const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const indexPage = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Osmoslice API</title>
<link rel="stylesheet" href="swagger-ui.css">
<link rel="icon" href="favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="start.js"></script>
</body>
</html>
`

const startScript = `SwaggerUIBundle({
  url: "/swagger.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
  persistAuthorization: false
});
`

var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".png": "image/png", ".txt": "text/plain; charset=utf-8",
}

// pages serves /docs, from "/".
func pages() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Type", mediaTypes[path.Ext(name)])
		switch name {
		case "index.html":
			_, _ = io.WriteString(w, indexPage)
			return
		case "start.js":
			_, _ = io.WriteString(w, startScript)
			return
		}
		packed, err := assets.ReadFile("assets/" + name + ".gz")
		if err != nil || r.Method != http.MethodGet {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			http.Error(w, "there is no such page", http.StatusNotFound)
			return
		}
		h.Set("Cache-Control", "max-age=3600")
		serveGzip(w, r, packed)
	})
}

// document serves swagger.json, which needs no key.
func document(doc []byte) http.Handler {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = z.Write(doc)                                   // memory never fails
	_ = z.Close()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		serveGzip(w, r, b.Bytes())
	})
}

func serveGzip(w http.ResponseWriter, r *http.Request, packed []byte) {
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(packed)))
		_, _ = w.Write(packed)
		return
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		http.Error(w, "the page is broken", http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, z)
}
