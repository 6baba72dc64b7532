package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dangri/config"
	"dangri/service"
)

// store speaks as much of S3 as is asked of one, and only to who signs.
func store(t *testing.T) (*httptest.Server, map[string]string) {
	t.Helper()
	var mu sync.Mutex
	kept := map[string]string{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=files-key/") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch content, ok := kept[r.URL.Path]; {
		case r.Method == http.MethodPut:
			raw, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			kept[r.URL.Path] = string(raw)
			w.Header().Set("ETag", `"1"`)
		case r.Method == http.MethodDelete:
			delete(kept, r.URL.Path)
			w.WriteHeader(http.StatusNoContent)
		case !ok:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
		default:
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Last-Modified", "Tue, 10 Mar 2026 06:00:00 GMT")
			_, _ = io.WriteString(w, content)
		}
	}))
	t.Cleanup(server.Close)
	return server, kept
}

func TestFilesAreKeptInAFolderOrABucketAlike(t *testing.T) {
	server, kept := store(t)
	bucket := config.FilesAt{Endpoint: strings.TrimPrefix(server.URL, "https://"), Bucket: "dangri", Beginning: "photos"}
	for name, settings := range map[string]config.Settings{
		"the data folder": {DataDir: t.TempDir()},
		"a folder":        {DataDir: "/nowhere", Files: config.FilesAt{Folder: filepath.Join(t.TempDir(), "new")}},
		"a bucket":        {Files: bucket, FilesKey: "files-key", FilesSecret: "files-secret", FilesRegion: "us-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := (&app{settings: settings}).openFiles(server.Client().Transport)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // putting again is harmless
				if err := files.Put(t.Context(), "ab12", []byte("照片")); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := files.Get(t.Context(), "ab12"); err != nil || string(got) != "照片" {
				t.Errorf("got %q, %v", got, err)
			}
			if got, err := files.Get(t.Context(), "ab13"); err == nil {
				t.Errorf("what was never put is %q", got)
			}
			if err := files.Put(t.Context(), "ab14", []byte("传错了")); err != nil {
				t.Fatal(err)
			}
			for range 2 { // deleting again is harmless
				if err := files.Delete(t.Context(), "ab14"); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := files.Get(t.Context(), "ab14"); err == nil {
				t.Errorf("what was deleted is %q", got)
			}
		})
	}
	if kept["/dangri/photos/ab12"] != "照片" || len(kept) != 1 {
		t.Errorf("the store has %q", kept)
	}
}

func TestNothingIsDeletedWhereTheFolderIsNotAtAll(t *testing.T) {
	if err := service.Folder(filepath.Join(t.TempDir(), "elsewhere")).Delete(t.Context(), "ab12"); err == nil {
		t.Error("a file of another machine counts as deleted")
	}
}
