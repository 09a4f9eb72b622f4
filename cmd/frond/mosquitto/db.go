package mosquitto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Retained is a retained message of a database.
type Retained struct {
	Topic   string
	Payload []byte
	QoS     byte
	Expires time.Time // zero for never
}

// A database is 15 bytes of magic, four of a checksum that nobody makes, and its
// version; then chunks of a type and a length. Numbers are big-endian but those that
// mosquitto keeps for itself: ids, and the time of expiry, which are as its machine
// has them.
const (
	magic      = "\x00\xb5\x00mosquitto db"
	headerSize = len(magic) + 8

	chunkMessage  = 2
	chunkRetained = 4
	messageSize   = 8 + 8 + 4 + 5*2 + 2 // what a message has in front of its texts
)

// ReadRetained are the retained messages of a database, of version 6, that of
// mosquitto 2.0 and 2.1. What comes behind a chunk that is cut off is not there.
func ReadRetained(db []byte) ([]Retained, error) {
	if len(db) < headerSize || string(db[:len(magic)]) != magic {
		return nil, errors.New("this is no database of mosquitto")
	}
	if v := binary.BigEndian.Uint32(db[len(magic)+4:]); v != 6 {
		return nil, fmt.Errorf("a database of version %d: only 6 is known, that of mosquitto 2", v)
	}
	messages := make(map[uint64]Retained)
	var ids []uint64
	for at, rest := headerSize, db[headerSize:]; len(rest) > 0; {
		if len(rest) < 8 {
			return nil, fmt.Errorf("cut off at byte %d", at)
		}
		kind, size := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
		if uint64(size) > uint64(len(rest)-8) {
			return nil, fmt.Errorf("cut off at byte %d", at)
		}
		body := rest[8 : 8+size]
		switch kind {
		case chunkMessage:
			id, m, err := message(body)
			if err != nil {
				return nil, fmt.Errorf("the message at byte %d: %w", at, err)
			}
			messages[id] = m
		case chunkRetained:
			if len(body) < 8 {
				return nil, fmt.Errorf("cut off at byte %d", at)
			}
			ids = append(ids, binary.LittleEndian.Uint64(body))
		}
		rest = rest[8+size:]
		at += 8 + int(size)
	}
	all := make([]Retained, 0, len(ids))
	for _, id := range ids {
		m, ok := messages[id]
		if !ok {
			return nil, fmt.Errorf("retained message %d is not there", id)
		}
		all = append(all, m)
	}
	return all, nil
}

func message(b []byte) (id uint64, m Retained, err error) {
	errCut := errors.New("is cut off")
	if len(b) < messageSize {
		return 0, m, errCut
	}
	id = binary.LittleEndian.Uint64(b)
	if seconds := expiry(b[8:]); seconds > 0 {
		m.Expires = time.Unix(seconds, 0)
	}
	payload := int(binary.BigEndian.Uint32(b[16:]))
	client, user, topic := int(binary.BigEndian.Uint16(b[22:])), int(binary.BigEndian.Uint16(b[24:])), int(binary.BigEndian.Uint16(b[26:]))
	m.QoS = b[30] & 3
	b = b[messageSize:]
	if payload < 0 || client+user+topic > len(b) || payload > len(b)-client-user-topic {
		return 0, m, errCut
	}
	b = b[client+user:]
	m.Topic, m.Payload = string(b[:topic]), b[topic:topic+payload]
	return id, m, nil
}

// expiry is the time of a machine of either kind: the other reading is far away.
func expiry(b []byte) int64 {
	if n := int64(binary.LittleEndian.Uint64(b)); n >= 0 && n < 1<<40 {
		return n
	}
	return int64(binary.BigEndian.Uint64(b))
}
