"""Kotlin that feeds an ExecuTorch program: the shortest class that an Android app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet

SNIPPET = Snippet(
    "ExecutorchClassifier.kt",
    Template("""\
// ExecuTorch: implementation("org.pytorch:executorch-android:1.5.1"). It loads $file by path, not from the assets.
import android.graphics.Bitmap
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

class ExecutorchClassifier(path: String) : AutoCloseable {
    private val module = Module.load(path, Module.LOAD_MODE_MMAP, 1)  // one thread
    private val image = Tensor.allocateByteBuffer(HEIGHT * WIDTH * 3)
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
        val input = Tensor.fromBlobUnsigned(image, longArrayOf(1, HEIGHT.toLong(), WIDTH.toLong(), 3))
        return module.forward(EValue.from(input))[0].toTensor().dataAsFloatArray
    }

    override fun close() = module.destroy()

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
