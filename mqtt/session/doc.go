// Package session keeps the MQTT sessions of an account that outlive their
// connections, on streams. It knows neither sockets nor packets: package mqtt
// gives it what clients ask for, and sends what it reads. It is no promise to other
// programs: it changes without notice.
//
// # What is where
//
// A session at rest is one row, the newest message on $MQTT.sess.HASH in the
// stream $MQTT_sess (row.go), and in memory its filters in the account's interest
// index, as sinks of RoleKept. It has no consumer, no timer and no goroutine.
//
// A message that MQTT clients publish with QoS 1 or 2, and that a filter of a kept
// session takes with QoS 1 or 2, is stored once on $MQTT.msgs.SUBJECT in the stream
// $MQTT_msgs, however many sessions wait for it (put.go). The filters say so while
// the message is routed, by its receipt (Keeping); it is stored behind that, and
// acknowledged when it is on disk. What nobody keeps is not stored.
//
// What comes by a link is stored likewise, behind its routing (linked.go).
//
// # Who waits for what
//
// All that was told as stored counts, in the order of its sequences; the newest is
// the head. A filter takes what is stored behind the head that was when it was
// made, up to the one when it was taken away. A session waits for a message that a
// filter of its takes, if it lies behind the position of the session, up to which
// all was sent, or was sent and is not acknowledged. That is decided by sequences
// alone, so that counting when a message is stored, reading it and counting again
// at the next start give the same.
//
// The count of a message is how many sessions wait for it (counts.go). At nought
// it is deleted, not at once and not waited for. Counts are only in memory: a start
// counts once what is there (sweep, in work.go), and deletes what nobody waits for. So
// does whoever finds messages gone that are counted (recount.go).
// Until it has passed a message, that is neither counted nor deleted.
//
// # Delivery
//
// A connected session reads pages of the stream, one filter beside the other, at
// its client's pace (read.go): from its position up to the head, and again when it
// is told of more. So what was kept and what comes now are one queue, in order and
// without a gap. A page of what was stored just now comes from memory (recent.go). What was sent and not acknowledged stands in the row with its
// packet identifier and is sent again when the client comes back.
//
// The row is written, and on disk before the client hears of it, when filters
// change; before the first message goes out, saying that messages may have been
// sent that it does not name; when the connection has ended; and about once a
// second while messages are acknowledged. After a crash what the row does not know
// comes again, marked as sent before.
//
// # QoS 2
//
// exact.go says how identifiers outlive connections and crashes, in both directions; those
// of retained messages too, which lie in a stream of their own.
//
// # The end
//
// A session ends when its client asks for a new one, or so long after its
// connection as was agreed; there is one timer for all. What it waited for is read
// once more to count it down.
//
// # Limits
//
// A session that waits for as much as it may refuses what would be one more: the
// publisher hears so instead of a success (Full). Nothing is dropped, but what comes by
// a link, whose publisher can't be told (linked.go).
//
// # Concurrency
//
// All of a Store may be used by several goroutines. One mutex guards all of its
// sessions; nothing is asked of a stream while it is held. Close ends the one
// goroutine of the Store and waits for it.
package session
