package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder keeps files in a folder of this machine, or one that all replicas share.
type Folder string

// Put writes the content beside its place and moves it there, so that nobody
// ever reads half of it.
func (f Folder) Put(_ context.Context, name string, content []byte) (err error) {
	path := f.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of files: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".draft-*")
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(draft.Name())
		}
	}()
	_, err = draft.Write(content)
	if err == nil {
		err = draft.Sync()
	}
	if closed := draft.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}

// Get reads the file.
func (f Folder) Get(_ context.Context, name string) ([]byte, error) {
	content, err := os.ReadFile(f.path(name))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return content, nil
}

// Delete removes the file. Where the whole folder is missing this is not the
// machine that has the files, and nothing is known to be gone.
func (f Folder) Delete(_ context.Context, name string) error {
	_, err := os.Stat(string(f))
	if err == nil {
		if err = os.Remove(f.path(name)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete file: %w", err)
	}
	return nil
}

// path spreads the files over folders by their first letters: a folder of a
// million is slow.
func (f Folder) path(name string) string {
	return filepath.Join(string(f), name[:min(2, len(name))], name)
}
