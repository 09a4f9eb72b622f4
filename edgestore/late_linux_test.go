package edgestore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A stream can be made when every descriptor is taken: nothing is opened for it
// until its first flush. The limit is the process's, so another one has it.
func TestFileStore_lateNeedsNoDescriptor(t *testing.T) {
	dir := os.Getenv("FROND_TEST_NO_DESCRIPTORS")
	if dir == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFileStore_lateNeedsNoDescriptor$")
		cmd.Env = append(os.Environ(), "FROND_TEST_NO_DESCRIPTORS="+t.TempDir())
		if out, err := cmd.CombinedOutput(); errors.Is(err, syscall.ENOEXEC) {
			t.Skip("this machine can't start its own program: an emulator runs the tests")
		} else if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The next descriptor would be at least this one's number.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(f.Fd()), Max: uint64(f.Fd())}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if g, err := os.Open(dir); err == nil {
		h, err := os.Open(dir)
		if err == nil {
			t.Fatal("there is no limit")
		}
		defer g.Close()
		_ = h
	}
	s, err := OpenFileStore(FileOptions{Dir: filepath.Join(dir, "s"), Incarnation: 1, Late: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&Msg{Seq: 1, Subject: "a"}, Location{}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
