package ndjson

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// housework compresses and deletes files that get no more lines, beside the attempts. What it cannot do it tries again when
// the next file is begun.
type housework struct {
	folder folder
	params Params
	log    *slog.Logger

	mu     sync.Mutex // guards what follows
	ended  bool
	going  bool
	below  int64 // files of lower numbers get no more lines
	again  bool
	cancel context.CancelFunc
	done   chan struct{}
}

// start begins to work on files of lower numbers. Where work goes on it is done again after it.
func (h *housework) start(below int64) {
	if !h.params.Gzip && h.params.KeepFiles == 0 && h.params.KeepBytes == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.below = below
	if h.going {
		h.again = true
		return
	}
	if h.ended {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.going, h.cancel, h.done = true, cancel, make(chan struct{})
	go h.loop(ctx, below)
}

func (h *housework) loop(ctx context.Context, below int64) {
	defer close(h.done)
	for {
		if err := h.round(ctx, below); err != nil && ctx.Err() == nil {
			h.log.Warn("old files not looked after", "error", err)
		}
		h.mu.Lock()
		if !h.again || h.ended {
			h.going = false
			h.cancel()
			h.mu.Unlock()
			return
		}
		h.again, below = false, h.below
		h.mu.Unlock()
	}
}

// stop ends the work and waits for it. It begins no more.
func (h *housework) stop() {
	h.mu.Lock()
	h.ended = true
	done := h.done
	if h.cancel != nil {
		h.cancel()
	}
	h.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (h *housework) round(ctx context.Context, below int64) error {
	parts, halves, err := h.folder.list()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range halves {
		errs = append(errs, gone(os.Remove(h.folder.file(name))))
	}
	for i := range parts {
		if h.params.Gzip && parts[i].seq < below && parts[i].plain {
			errs = append(errs, h.compress(ctx, &parts[i]))
		}
	}
	errs = append(errs, h.prune(parts, below))
	return errors.Join(errs...)
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// compress makes NAME.gz of a file, and deletes the file when that is on the disk.
func (h *housework) compress(ctx context.Context, p *part) error {
	in, err := h.folder.open(p.name, os.O_RDONLY)
	if err != nil {
		return gone(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	half := p.name + zipped + unfinished
	size, err := h.squeeze(ctx, in, half)
	if err == nil {
		err = os.Rename(h.folder.file(half), h.folder.file(p.name+zipped))
	}
	if err == nil {
		err = h.folder.sync()
	}
	if err != nil {
		_ = os.Remove(h.folder.file(half))
		return fmt.Errorf("compressing %s: %w", p.name, err)
	}
	if err := gone(os.Remove(h.folder.file(p.name))); err != nil {
		return fmt.Errorf("deleting %s, which is compressed: %w", p.name, err)
	}
	p.plain, p.zipped, p.size = false, true, size
	return h.folder.sync()
}

func (h *housework) squeeze(ctx context.Context, in io.Reader, name string) (size int64, err error) {
	out, err := h.folder.open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	zip := gzip.NewWriter(out)
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(zip, in, 1<<18)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	if err := zip.Close(); err != nil {
		return 0, err
	}
	if err := out.Sync(); err != nil {
		return 0, err
	}
	return out.Seek(0, io.SeekCurrent)
}

// prune deletes the oldest files until few and small enough are left. The one that is written stays.
func (h *housework) prune(parts []part, below int64) error {
	var total int64
	old := 0
	for _, p := range parts {
		total += p.size
		if p.seq < below {
			old++
		}
	}
	var errs []error
	for _, p := range parts {
		many := h.params.KeepFiles > 0 && old > h.params.KeepFiles
		large := h.params.KeepBytes > 0 && total > h.params.KeepBytes
		if p.seq >= below || !many && !large {
			break
		}
		if p.plain {
			errs = append(errs, gone(os.Remove(h.folder.file(p.name))))
		}
		if p.zipped {
			errs = append(errs, gone(os.Remove(h.folder.file(p.name+zipped))))
		}
		old--
		total -= p.size
	}
	return errors.Join(errs...)
}
