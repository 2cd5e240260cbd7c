"""Kotlin that feeds a TFLite artifact: the shortest class that an Android app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet

SNIPPET = Snippet(
    "Classifier.kt",
    Template("""\
// LiteRT: implementation("com.google.ai.edge.litert:litert:1.4.0"). Put $file into assets, uncompressed.
import android.graphics.Bitmap
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

class Classifier(model: ByteBuffer) : AutoCloseable {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(1))
    private val image = ByteBuffer.allocateDirect(HEIGHT * WIDTH * 3).order(ByteOrder.nativeOrder())
    private val argb = IntArray(HEIGHT * WIDTH)

    /** [frame]: upright ARGB_8888 of WIDTH x HEIGHT ($kotlin_fit). Returns probabilities in the order of [LABELS]. */
    fun probabilities(frame: Bitmap): FloatArray {
        require(frame.width == WIDTH && frame.height == HEIGHT) { "expected $${WIDTH}x$$HEIGHT" }
        frame.getPixels(argb, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
        image.rewind()
        for (pixel in argb) {  // uint8 RGB, row by row; normalisation is in the model
            image.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
        }
        image.rewind()
        val output = Array(1) { FloatArray(LABELS.size) }
        interpreter.run(image, output)
        return output[0]
    }

    override fun close() = interpreter.close()

    companion object {
        const val HEIGHT = $height
        const val WIDTH = $width
        val LABELS = listOf($labels)
        const val THRESHOLD = ${threshold}f  // of "$positive"
        val RETAKE_BAND: Pair<Float, Float>? = $kotlin_band  // strictly between: ask for another picture
    }
}
"""),
)
