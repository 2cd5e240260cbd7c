"""Kotlin that feeds a TFLite artifact: the shortest class that an Android app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet
from export.phone_code import KOTLIN_CONSTANTS, KOTLIN_DECISION, KOTLIN_FIT

SNIPPET = Snippet(
    "Classifier.kt",
    Template(f"""\
// LiteRT: implementation("com.google.ai.edge.litert:litert:1.4.0"). Put $file into assets, uncompressed.
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

class Classifier(model: ByteBuffer) : AutoCloseable {{
{KOTLIN_DECISION}
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(1))
    private val image = ByteBuffer.allocateDirect(HEIGHT * WIDTH * 3).order(ByteOrder.nativeOrder())
    private val argb = IntArray(HEIGHT * WIDTH)

    /** [picture]: upright ARGB_8888 of any size, e.g. a frame of the camera; not a hardware bitmap. */
    fun decide(picture: Bitmap): Decision = decide(probabilities(picture))

    /** [picture] as for [decide]. Returns probabilities in the order of [LABELS]; decide by them with [decide]. */
    fun probabilities(picture: Bitmap): FloatArray {{
        fit(picture).getPixels(argb, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
        image.rewind()
        for (pixel in argb) {{  // uint8 RGB, row by row; normalisation is in the model
            image.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
        }}
        image.rewind()
        val output = Array(1) {{ FloatArray(LABELS.size) }}
        interpreter.run(image, output)
        return output[0]
    }}

{KOTLIN_FIT}
    override fun close() = interpreter.close()

    companion object {{
{KOTLIN_CONSTANTS}    }}
}}
"""),
)
