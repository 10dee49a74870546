from . import byte_pairs
from .ngrams import beginnings, ngrams_of, standardized, unique_in_row, words_of
from .word_pieces import accent_table, split_words, word_pieces


class TextIds:
    """Strings to ids in a TensorFlow graph, by the settings of a `Text` input.

    It owns the lookup tables, which are created on first use.

    Args:
        text: `keras_mm.Text`.
    """

    def __init__(self, text):
        self.text = text
        self._tables = {}
        self._rules = None

    def __call__(self, raw):
        """Strings `(texts,)` -> ids `(texts, length)`, `int32`."""
        import tensorflow as tf

        from .vocabulary import as_names, drop_invalid

        length = self.text.length
        raw = tf.convert_to_tensor(raw, tf.string)
        # A regular expression matches valid UTF-8 only, and takes no memory.
        raw = tf.where(tf.strings.regex_full_match(raw, "(?s).*"), raw, "")
        raw = as_names(drop_invalid(beginnings(raw)))
        if self.text.tokens == "ngrams":
            ids = self._ngram_ids(raw)
        else:
            ids = self._ids_in_order(raw)
            ids = ids[:, :length].to_tensor(shape=[None, length])
        first = tf.cast(tf.range(length) == 0, tf.int32)[tf.newaxis]
        wordless = tf.reduce_all(ids == 0, axis=1, keepdims=True)
        ids = tf.where(wordless, first, ids)
        ids = tf.where((raw == "")[:, tf.newaxis], 0, ids)
        return tf.ensure_shape(ids, [None, length])

    @property
    def first_id(self):
        """The id of the first entry of the vocabulary."""
        if not self.text.special_tokens:
            return 2
        return 1 if "padding" in self.text.special_tokens else 0

    @property
    def tables(self):
        """The lookup tables that were created."""
        strips = self.text.standardize == "lower_and_strip_accents"
        return [
            *self._tables.values(),
            *([self._rules.ranks] if self._rules else []),
            *([accent_table()] if strips else []),
        ]

    def units(self, texts):
        """Strings `(batch,)` -> ragged words or characters `(batch, None)`."""
        import tensorflow as tf

        tokens, standardize = self.text.tokens, self.text.standardize
        if tokens == "word_pieces":
            strip_accents = standardize == "lower_and_strip_accents"
            return split_words(texts, standardize is not None, strip_accents)
        if tokens == "byte_pairs":
            word_ends = byte_pairs.has_word_ends(self.text.vocabulary)
            return byte_pairs.split_words(standardized(texts, standardize), word_ends)
        if tokens != "characters":
            return words_of(texts, standardize)
        texts = tf.strings.strip(tf.strings.regex_replace(texts, r"[\pZ\pC]+", " "))
        return tf.strings.unicode_split(standardized(texts, standardize), "UTF-8")

    def _ids_in_order(self, raw):
        """Strings `(batch,)` -> ragged ids `(batch, None)`."""
        import tensorflow as tf

        text, units = self.text, self.units(raw)
        tokens, first = text.tokens or "words", self.first_id
        if tokens in ("words", "characters"):
            table = self._table(tokens)
            return units.with_flat_values(table.lookup(units.flat_values))
        special = text.special_tokens or {"unknown": -1}
        if tokens == "byte_pairs":
            ids = first + byte_pairs.byte_pairs(units, self._byte_pair_rules())
        else:
            table, unknown = self._table(tokens), first + special["unknown"]
            longest = max(len(piece.removeprefix("##")) for piece in text.vocabulary)
            ids = word_pieces(units, table, longest, unknown)
        if "start" not in special:
            return ids
        rows = tf.size(raw)
        return tf.concat(
            [
                tf.fill([rows, 1], first + special["start"]),
                ids[:, : text.length - 2],
                tf.fill([rows, 1], first + special["end"]),
            ],
            axis=1,
        )

    def _ngram_ids(self, raw):
        """Strings `(batch,)` -> ids `(batch, length)`."""
        import tensorflow as tf

        grams = tf.concat(ngrams_of(words_of(raw, self.text.standardize)), axis=1)
        ids = self._table("ngrams").lookup(grams.values)
        ids = grams.with_values(ids).to_tensor()
        ids = unique_in_row(tf.where(ids == 1, 0, ids))
        # The first id, 1, marks that the text is not missing.
        length = self.text.length - 1
        ids = ids[:, :length]
        ids = tf.pad(ids, [[0, 0], [0, length - tf.shape(ids)[1]]])
        return tf.pad(ids, [[0, 0], [1, 0]], constant_values=1)

    def _table(self, tokens):
        from .vocabulary import lookup_table

        if tokens not in self._tables:
            vocabulary = self.text.vocabulary
            if tokens == "ngrams":
                table = lookup_table(self.text.ngram_vocabulary)
            elif tokens == "word_pieces":
                table = lookup_table(vocabulary, self.first_id, unknown=-1)
            else:
                table = lookup_table(vocabulary)
            self._tables[tokens] = table
        return self._tables[tokens]

    def _byte_pair_rules(self):
        if self._rules is None:
            text = self.text
            unknown = text.special_tokens.get("unknown")
            self._rules = byte_pairs.Rules(text.vocabulary, text.merges, unknown)
        return self._rules
