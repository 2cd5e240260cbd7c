"""Kotlin that feeds a TFLite artifact: the shortest class that an Android app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet

SNIPPET = Snippet(
    "Classifier.kt",
    Template("""\
// LiteRT: implementation("com.google.ai.edge.litert:litert:1.4.0"). Put $file into assets, uncompressed.
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

sealed interface Decision {
    data class Label(val name: String, val probability: Float) : Decision
    object Retake : Decision  // too close to call: ask for another picture
}

class Classifier(model: ByteBuffer) : AutoCloseable {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(1))
    private val image = ByteBuffer.allocateDirect(HEIGHT * WIDTH * 3).order(ByteOrder.nativeOrder())
    private val argb = IntArray(HEIGHT * WIDTH)

    /** [picture]: upright ARGB_8888 of any size, e.g. a frame of the camera; not a hardware bitmap. */
    fun decide(picture: Bitmap): Decision = decide(probabilities(picture))

    /** [picture] as for [decide]. Returns probabilities in the order of [LABELS]; decide by them with [decide]. */
    fun probabilities(picture: Bitmap): FloatArray {
        fit(picture).getPixels(argb, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
        image.rewind()
        for (pixel in argb) {  // uint8 RGB, row by row; normalisation is in the model
            image.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
        }
        image.rewind()
        val output = Array(1) { FloatArray(LABELS.size) }
        interpreter.run(image, output)
        return output[0]
    }

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

    override fun close() = interpreter.close()

    companion object {
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
    }
}
"""),
)
