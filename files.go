package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"path/filepath"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"dangri/config"
	"dangri/service"
)

// openFiles is where photos are kept: a folder, or a bucket reached by the
// transport, nil for the usual one.
func (a *app) openFiles(transport http.RoundTripper) (service.Files, error) {
	at := a.settings.Files
	switch {
	case at == config.FilesAt{}:
		return service.Folder(filepath.Join(a.settings.DataDir, "files")), nil
	case at.Endpoint == "":
		return service.Folder(at.Folder), nil
	}
	client, err := minio.New(at.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(a.settings.FilesKey, a.settings.FilesSecret.Reveal(), ""), Secure: !at.Plain,
		Region: a.settings.FilesRegion, Transport: transport, MaxRetries: 2,
	})
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", err)
	}
	return &bucket{client, at}, nil
}

// bucket keeps files in an S3-compatible store.
type bucket struct {
	client *minio.Client
	at     config.FilesAt
}

func (b *bucket) name(name string) string { return path.Join(b.at.Beginning, name) }

// Put keeps the content under the name.
func (b *bucket) Put(ctx context.Context, name string, content []byte) error {
	_, err := b.client.PutObject(ctx, b.at.Bucket, b.name(name), bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true})
	if err != nil {
		return fmt.Errorf("put file into the store: %w", err)
	}
	return nil
}

// Get is what was put under the name.
func (b *bucket) Get(ctx context.Context, name string) ([]byte, error) {
	object, err := b.client.GetObject(ctx, b.at.Bucket, b.name(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("get file from the store: %w", err)
	}
	defer func() { _ = object.Close() }()
	content, err := io.ReadAll(io.LimitReader(object, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("get file from the store: %w", err)
	}
	return content, nil
}

// Delete takes away what was put under the name.
func (b *bucket) Delete(ctx context.Context, name string) error {
	if err := b.client.RemoveObject(ctx, b.at.Bucket, b.name(name), minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete file from the store: %w", err)
	}
	return nil
}
