"""Kotlin and Swift that the snippets of several formats share: the decision, and scaling a picture to the frame.

Each text is a part of a template (``export.formats.Snippet``), indented as it stands in a class. Pure: constants only.
"""

from __future__ import annotations

KOTLIN_DECISION = """\
    sealed interface Decision {
        data class Label(val name: String, val probability: Float) : Decision
        object Retake : Decision  // too close to call: ask for another picture
    }
"""
"""What a classifier returns, in its class, so that two snippets in one app do not both declare it."""

KOTLIN_FIT = """\
    /** To WIDTH x HEIGHT: $kotlin_fit. Halved first: one bilinear step over a large picture would alias. */
    private fun fit(picture: Bitmap): Bitmap {
        var source = picture
        while (scaleOf(source) <= 0.5f) {
            source = Bitmap.createScaledBitmap(source, (source.width + 1) / 2, (source.height + 1) / 2, true)
        }
        if (source.width == WIDTH && source.height == HEIGHT) return source
        val scale = scaleOf(source)
        val matrix = Matrix()
        matrix.setScale(scale, scale)
        matrix.postTranslate((WIDTH - source.width * scale) / 2, (HEIGHT - source.height * scale) / 2)
        val frame = Bitmap.createBitmap(WIDTH, HEIGHT, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(frame)
        canvas.drawColor(Color.BLACK)
        canvas.drawBitmap(source, matrix, Paint(Paint.FILTER_BITMAP_FLAG))
        return frame
    }

    private fun scaleOf(picture: Bitmap): Float =
        $kotlin_scale(WIDTH / picture.width.toFloat(), HEIGHT / picture.height.toFloat())
"""
"""Scales a ``Bitmap`` of any size to the frame."""

KOTLIN_CONSTANTS = """\
        const val HEIGHT = $height
        const val WIDTH = $width
        val LABELS = listOf($labels)
        const val THRESHOLD = ${threshold}f  // of "$positive"
        val RETAKE_BAND: Pair<Float, Float>? = $kotlin_band  // strictly between: ask for another picture

        /** The policy's decision, which is not the most probable label. */
        fun decide(probabilities: FloatArray): Decision {
            if (probabilities.any { it.isNaN() }) return Decision.Retake
            val positive = probabilities.last()
            val band = RETAKE_BAND
            if (band != null && positive > band.first && positive < band.second) return Decision.Retake
            val index = when {
                LABELS.size != 2 -> probabilities.indices.maxByOrNull { probabilities[it] } ?: 0
                positive >= THRESHOLD -> 1
                else -> 0
            }
            return Decision.Label(LABELS[index], probabilities[index])
        }
"""
"""Size, labels and decision of the artifact, in a companion object."""

SWIFT_DECISION = """\
    enum Decision: Equatable {
        case label(String, probability: Double)
        case retake  // too close to call: ask for another picture
    }
"""
"""What a classifier returns, in its class, so that two snippets in one app do not both declare it."""

SWIFT_CONSTANTS = """\
    static let labels = [$labels]
    static let threshold = $threshold  // of "$positive"
    static let retakeBand: (low: Double, high: Double)? = $swift_band  // strictly between: ask for another picture
"""
"""Labels and decision of the artifact, in a class."""

SWIFT_DECIDE = """\
    /// The policy's decision, which is not the most probable label.
    static func decide(_ probabilities: [Double]) -> Decision {
        guard !probabilities.contains(where: { $$0.isNaN }), let positive = probabilities.last else { return .retake }
        if let band = retakeBand, positive > band.low, positive < band.high { return .retake }
        if labels.count == 2 {
            let index = positive >= threshold ? 1 : 0
            return .label(labels[index], probability: probabilities[index])
        }
        let best = probabilities.indices.max { probabilities[$$0] < probabilities[$$1] } ?? 0
        return .label(labels[best], probability: probabilities[best])
    }
"""
"""Turns probabilities into the decision, in a class."""
