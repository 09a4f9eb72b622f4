package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// KnowsPeers says that this system tells who is at the other end of a Unix
// socket.
const KnowsPeers = true

// ask fills in what the kernel says of the other end of a socket.
func (p *Peer) ask(fd int) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil {
		p.is(cred.Uid, cred.Pid, append([]uint32{cred.Gid}, peerGroups(fd)...))
	}
}

// is takes only numbers that are somebody's.
func (p *Peer) is(uid uint32, pid int32, groups []uint32) {
	if uid == Nobody {
		return
	}
	p.Known, p.UID, p.PID = true, uid, pid
	for _, g := range groups {
		if g != Nobody {
			p.Groups = append(p.Groups, g)
		}
	}
}

// maxGroups is NGROUPS_MAX of Linux.
const maxGroups = 1 << 16

// peerGroups is nil where the kernel does not tell (before 4.13).
func peerGroups(fd int) []uint32 {
	for _, room := range []int{32, maxGroups} {
		groups := make([]uint32, room)
		size := uint32(4 * room)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			return groups[:size/4]
		}
		if errno != unix.ERANGE {
			break
		}
	}
	return nil
}
