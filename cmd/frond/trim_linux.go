package main

import (
	"encoding/binary"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trim gives back the pages of the program that only its start has needed: they
// are as they are in the file, and the kernel brings those that are used again.
// On a small machine that is half of what an idle server has in memory. So it is
// with the garbage of the recovery.
func trim() {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return // not all kernels have it
	}
	for _, s := range clean(string(text), exe, constants()) {
		// An error means that the pages stay.
		syscall.Syscall(syscall.SYS_MADVISE, s.from, s.to-s.from, syscall.MADV_DONTNEED)
	}
}

// segment is a part of the program's file in memory: whole pages that nothing of
// ours can write to.
type segment struct{ from, to, offset uintptr }

// constants finds them where the program itself is told that its headers are
// (getauxval(3)): the addresses of smaps alone are not to be believed. Under
// qemu's user mode they are those of the machine around, and what is there in
// the program's own memory may be data.
func constants() []segment {
	aux, err := unix.Auxv()
	if err != nil {
		return nil
	}
	const phdr, phent, phnum = 3, 4, 5
	var value [phnum + 1]uintptr
	for _, a := range aux {
		if a[0] < uintptr(len(value)) {
			value[a[0]] = a[1]
		}
	}
	at := value[phdr]
	if at == 0 || value[phent] != headerWords*wordSize {
		return nil
	}
	headers := unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), value[phnum]*value[phent])
	return readOnly(headers, wordSize, at, uintptr(os.Getpagesize()))
}

const (
	wordSize    = strconv.IntSize / 8
	headerWords = 8 - wordSize/8 // the flags fit beside the type where words are wide
)

// readOnly takes the segments without the right to write from program headers
// (elf(5)) that are at an address. A page that is only in part of the segment is
// not in it.
func readOnly(headers []byte, word int, at, page uintptr) (found []segment) {
	order := binary.NativeEndian
	size, flagsAt := 8*word, 6*word
	if word == 8 {
		size, flagsAt = 7*word, 4
	}
	moved, known := uintptr(0), false // by how much the program is not where its file says
	for ; len(headers) >= size; headers = headers[size:] {
		field := func(n int) uintptr {
			if word == 8 {
				return uintptr(order.Uint64(headers[n*word:]))
			}
			return uintptr(order.Uint32(headers[n*word:]))
		}
		const typeLoad, typeHeaders, flagWrite = 1, 6, 2
		offset, address := field(1), field(2)
		switch order.Uint32(headers) {
		case typeHeaders: // stands before what is loaded
			moved, known = at-address, true
		case typeLoad:
			from := moved + address
			s := segment{from: (from + page - 1) &^ (page - 1), to: (from + field(4)) &^ (page - 1)}
			s.offset = offset + s.from - from
			if known && order.Uint32(headers[flagsAt:])&flagWrite == 0 && s.from < s.to {
				found = append(found, s)
			}
		}
	}
	return found
}

// clean returns those of the segments that are mapped from the file, by smaps
// (proc_pid_smaps(5)), with no page that differs from it: a packer has other
// memory in their place, a debugger has changed some. One without resident pages
// has nothing to give; an emulator that makes smaps up says so of all.
func clean(smaps, file string, segments []segment) (found []segment) {
	var m segment
	ours := false
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "Rss:":
			ours = ours && f[1] != "0"
			continue
		case "Anonymous:":
			for _, s := range segments {
				if ours && f[1] == "0" && m.from <= s.from && s.to <= m.to && s.from-s.offset == m.from-m.offset {
					found = append(found, s)
				}
			}
			ours = false
			continue
		}
		from, to, dash := strings.Cut(f[0], "-")
		if !dash || len(f) < 6 {
			continue
		}
		a, errFrom := strconv.ParseUint(from, 16, strconv.IntSize)
		b, errTo := strconv.ParseUint(to, 16, strconv.IntSize)
		o, errOffset := strconv.ParseUint(f[2], 16, strconv.IntSize)
		ours = errFrom == nil && errTo == nil && errOffset == nil && f[5] == file && strings.HasPrefix(f[1], "r-")
		m = segment{uintptr(a), uintptr(b), uintptr(o)}
	}
	return found
}
