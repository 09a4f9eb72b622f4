package mqttconf

// Conditions that no server here meets.
const (
	noWebSocket  = "neither server is given a WebSocket listener, which is optional"
	noMethod     = "no authentication method is known to the servers, which is optional"
	twoBytes     = "the length of a text has two bytes: nothing longer can be sent"
	notTransient = "no transient error can be made from outside"
	noClients    = "no MQTT connections are made by the servers"
)

// statements311 are those of MQTT 3.1.1, in the order of the document. Some of the
// identifiers are printed in other ways there too: MQTT-3.1.2.7, MQTT-3.3.1.-1,
// MQTT-3-8.3-4.
func statements311() []Statement {
	return allOf(packets311(), subscriptions311(), behaviour311())
}

func allOf(parts ...[]Statement) (all []Statement) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func packets311() []Statement {
	return []Statement{
		asks("1.5.3-1", "1.5.3", illFormedText),
		asks("1.5.3-2", "1.5.3", nulInText),
		forbids("1.5.3-3", "1.5.3", markKept),
		forbids("2.2.2-1", "2.2.2", flagsOfAnswers),
		asks("2.2.2-2", "2.2.2", reservedFlags),
		asks("2.3.1-1", "2.3.1", identifierZero),
		client("2.3.1-2", "2.3.1"),
		client("2.3.1-3", "2.3.1"),
		asks("2.3.1-4", "2.3.1", sameIdentifierAgain),
		forbids("2.3.1-5", "2.3.1", noIdentifierInQoS0),
		asks("2.3.1-6", "2.3.1", ackCarriesIdentifier),
		asks("2.3.1-7", "2.3.1", subackCarriesIdentifier),
		asks("3.1.0-1", "3.1", firstIsConnect),
		asks("3.1.0-2", "3.1", secondConnect),
		forbids("3.1.2-1", "3.1.2.1", protocolName),
		asks("3.1.2-2", "3.1.2.2", protocolLevel),
		asks("3.1.2-3", "3.1.2.3", reservedFlag),
		asks("3.1.2-4", "3.1.2.4", sessionNewKept),
		asks("3.1.2-5", "3.1.2.4", sessionQueuesBoth),
		asks("3.1.2-6", "3.1.2.4", sessionDiscarded),
		forbids("3.1.2-7", "3.1.2.4", retainedOutlivesSession),
		asks("3.1.2-8", "3.1.2.5", willWhen),
		asks("3.1.2-9", "3.1.2.5", willFieldsMissing),
		asks("3.1.2-10", "3.1.2.5", willOnce),
		asks("3.1.2-11", "3.1.2.5", noWillAtAll),
		forbids("3.1.2-12", "3.1.2.5", noWill),
		asks("3.1.2-13", "3.1.2.6", willQoSWithoutWill),
		asks("3.1.2-14", "3.1.2.6", willQoS),
		asks("3.1.2-15", "3.1.2.7", willRetainWithoutWill),
		asks("3.1.2-16", "3.1.2.7", willNotRetained),
		asks("3.1.2-17", "3.1.2.7", willRetained),
		asks("3.1.2-18", "3.1.2.8", userWithoutFlag),
		asks("3.1.2-19", "3.1.2.8", userMissing),
		asks("3.1.2-20", "3.1.2.9", passwordWithoutFlag),
		asks("3.1.2-21", "3.1.2.9", passwordMissing),
		asks("3.1.2-22", "3.1.2.9", passwordWithoutUser),
		client("3.1.2-23", "3.1.2.10"),
		asks("3.1.2-24", "3.1.2.10", keepAlive),
		asks("3.1.3-1", "3.1.3", orderOfFields),
		asks("3.1.3-2", "3.1.3.1", identifierIsState),
		asks("3.1.3-3", "3.1.3.1", identifierMissing),
		asks("3.1.3-4", "3.1.3.1", illFormedIdentifier),
		asks("3.1.3-5", "3.1.3.1", identifiersAllowed),
		asks("3.1.3-6", "3.1.3.1", identifierAssigned),
		asks("3.1.3-7", "3.1.3.1", identifierNeedsClean),
		asks("3.1.3-8", "3.1.3.1", identifierNeedsClean),
		asks("3.1.3-9", "3.1.3.1", identifierRefused),
		asks("3.1.3-10", "3.1.3.2", illFormedWillTopic),
		asks("3.1.3-11", "3.1.3.4", illFormedUser),
		asks("3.1.4-1", "3.1.4", connectValidated),
		asks("3.1.4-2", "3.1.4", takenOver),
		asks("3.1.4-3", "3.1.4", cleanProcessed),
		asks("3.1.4-4", "3.1.4", welcomeWorks),
		forbids("3.1.4-5", "3.1.4", ignoredBehindRefusal),
		asks("3.2.0-1", "3.2", connackFirst),
		asks("3.2.2-1", "3.2.2.2", cleanNotPresent),
		asks("3.2.2-2", "3.2.2.2", sessionPresent),
		asks("3.2.2-3", "3.2.2.2", sessionAbsent),
		asks("3.2.2-4", "3.2.2.2", strangersRefused),
		asks("3.2.2-5", "3.2.2.3", refusedMeansClosed),
		asks("3.2.2-6", "3.2.2.3", noCodeNoConnack),
		asks("3.3.1-1", "3.3.1.1", sentAgainAll),
		asks("3.3.1-2", "3.3.1.1", plainQoS0),
		asks("3.3.1-3", "3.3.1.1", dupOfItsOwn),
		asks("3.3.1-4", "3.3.1.2", qos3),
		asks("3.3.1-5", "3.3.1.3", retainedReplaced),
		asks("3.3.1-6", "3.3.1.3", retainedForAll),
		asks("3.3.1-7", "3.3.1.3", retainedQoS0),
		asks("3.3.1-8", "3.3.1.3", retainFlagOfOld),
		asks("3.3.1-9", "3.3.1.3", retainFlagOfLive),
		asks("3.3.1-10", "3.3.1.3", retainedRemoved),
		forbids("3.3.1-11", "3.3.1.3", emptyNotRetained),
		forbids("3.3.1-12", "3.3.1.3", liveNotRetained),
		asks("3.3.2-1", "3.3.2.1", topicFirst),
		asks("3.3.2-2", "3.3.2.1", wildcardInTopic),
		asks("3.3.2-3", "3.3.2.1", topicMatches),
		asks("3.3.4-1", "3.3.4", answersByQoS),
		asks("3.3.5-1", "3.3.5", overlapping),
		asks("3.3.5-2", "3.3.5", refusedNoHarm),
		asks("3.6.1-1", "3.6.1", pubrelFlags),
	}
}

func subscriptions311() []Statement {
	return []Statement{
		asks("3.8.1-1", "3.8.1", subscribeFlags),
		asks("3.8.3-1", "3.8.3", illFormedFilter),
		asks("3.8.3-2", "3.8.3", wildcardsWork),
		asks("3.8.3-3", "3.8.3", noFilter),
		asks("3.8.3-4", "3.8.3", reservedOptions),
		asks("3.8.4-1", "3.8.4", subackWorks),
		asks("3.8.4-2", "3.8.4", subackCarriesIdentifier),
		asks("3.8.4-3", "3.8.4", replacedAll),
		asks("3.8.4-4", "3.8.4", manyFilters),
		asks("3.8.4-5", "3.8.4", codeForEach),
		asks("3.8.4-6", "3.8.4", qosIsTheLower),
		asks("3.9.3-1", "3.9.3", codesInOrder),
		forbids("3.9.3-2", "3.9.3", subackCodes),
		asks("3.10.1-1", "3.10.1", unsubscribeFlags),
		asks("3.10.3-1", "3.10.3", illFormedFilterToTake),
		asks("3.10.3-2", "3.10.3", noFilterToTake),
		asks("3.10.4-1", "3.10.4", comparedExactly),
		asks("3.10.4-2", "3.10.4", unsubscribed),
		asks("3.10.4-3", "3.10.4", completesUnsubscribed),
		asks("3.10.4-4", "3.10.4", subackCarriesIdentifier),
		asks("3.10.4-5", "3.10.4", unsubackAlways),
		asks("3.10.4-6", "3.10.4", manyToTake),
		asks("3.12.4-1", "3.12.4", (*Exam).pinged),
		asks("3.14.1-1", "3.14.1", disconnectFlags),
		client("3.14.4-1", "3.14.4"),
		client("3.14.4-2", "3.14.4"),
		asks("3.14.4-3", "3.14.4", willDiscarded),
	}
}

func behaviour311() []Statement {
	return []Statement{
		asks("4.1.0-1", "4.1", sessionForItsWhole),
		asks("4.1.0-2", "4.1", sessionWhileConnected),
		asks("4.3.1-1", "4.3.1", plainQoS0),
		asks("4.3.2-1", "4.3.2", sendsQoS1),
		asks("4.3.2-2", "4.3.2", receivesQoS1),
		asks("4.3.3-1", "4.3.3", sendsQoS2),
		asks("4.3.3-2", "4.3.3", receivesQoS2),
		asks("4.4.0-1", "4.4", sentAgainAll),
		asks("4.5.0-1", "4.5", deliveredToAll),
		client("4.5.0-2", "4.5"),
		client("4.6.0-1", "4.6"),
		client("4.6.0-2", "4.6"),
		client("4.6.0-3", "4.6"),
		client("4.6.0-4", "4.6"),
		asks("4.6.0-5", "4.6", orderKept),
		asks("4.6.0-6", "4.6", orderKeptAndSentAgain),
		asks("4.7.1-1", "4.7.1", wildcardInTopic),
		asks("4.7.1-2", "4.7.1.2", hashMisplaced),
		asks("4.7.1-3", "4.7.1.3", plusMisplaced),
		forbids("4.7.2-1", "4.7.2", dollarHidden),
		asks("4.7.3-1", "4.7.3", emptyNames),
		asks("4.7.3-2", "4.7.3", nulInNames),
		unmet("4.7.3-3", "4.7.3", false, twoBytes),
		forbids("4.7.3-4", "4.7.3", noNormalization),
		asks("4.8.0-1", "4.8", malformed),
		unmet("4.8.0-2", "4.8", true, notTransient),
		unmet("6.0.0-1", "6", true, noWebSocket),
		unmet("6.0.0-2", "6", false, noWebSocket),
		client("6.0.0-3", "6"),
		unmet("6.0.0-4", "6", true, noWebSocket),
		unmet("7.0.0-1", "7", true, noClients),
		forbids("7.0.0-2", "7", welcomeWorks),
		asks("7.1.1-1", "7.1.1", largePayloads),
		client("7.1.2-1", "7.1.2"),
	}
}
